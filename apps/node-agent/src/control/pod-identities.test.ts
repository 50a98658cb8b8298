import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import type { WorkloadCertificate } from '@ambit/identity';
import { createLogger, LogLevels } from '@ambit/telemetry';
import type { Pod } from '../pods/pod.ts';
import { PodIdentities } from './pod-identities.ts';

const pod = (serviceAccount: string): Pod => ({
  uid: serviceAccount,
  name: serviceAccount,
  namespace: 'shop',
  serviceAccount,
  labels: {},
  annotations: {},
  netnsPath: '/x',
  ips: [],
});
const certificate = (identity: string): WorkloadCertificate => ({
  identity,
  privateKeyPem: 'key',
  chainPem: 'chain',
  rootsPem: 'roots',
  serialNumber: '1',
  notBeforeMs: 0,
  notAfterMs: 1000,
});
const ID = 'spiffe://td/ns/shop/sa/a';

function setUp(get: () => Promise<WorkloadCertificate> = () => Promise.reject(new Error('no CA'))) {
  const calls: string[] = [];
  const told: string[] = [];
  const clock = new FakeClock();
  const identities = new PodIdentities({
    clock,
    log: createLogger({
      scope: 'test',
      levels: new LogLevels('off'),
      sink: { write: () => undefined },
      wallNow: () => 0,
    }),
    manager: {
      get,
      prefetch: (identity) => calls.push(`+${identity}`),
      evict: (identity) => calls.push(`-${identity}`),
    },
    trustDomainOf: () => 'td',
    tellWorkers: (message) => {
      switch (message.kind) {
        case 'certificate':
          told.push(`new ${message.material.identity}`);
          break;
        case 'certificate-unavailable':
          told.push(message.reason);
          break;
        case 'certificate-forgotten':
          told.push(`forget ${message.identity}`);
          break;
      }
    },
  });
  return { identities, calls, told, clock };
}

describe('PodIdentities', () => {
  it('keeps one certificate for each account that is served', () => {
    const { identities, calls } = setUp();
    identities.keep([pod('a'), pod('a'), pod('b')]);
    identities.keep([pod('b')]);
    assert.deepEqual(calls, [
      `+${ID}`,
      '+spiffe://td/ns/shop/sa/b',
      `-${ID}`,
      '+spiffe://td/ns/shop/sa/b',
    ]);
  });

  it('tells workers of certificates that are wanted, and tells a late worker the same', () => {
    const { identities, told } = setUp();
    identities.keep([pod('a')]);
    identities.onEvent({ kind: 'issued', certificate: certificate(ID) });
    identities.onEvent({ kind: 'issued', certificate: certificate('spiffe://td/ns/shop/sa/z') });
    assert.deepEqual(told, [`new ${ID}`]);
    assert.deepEqual([...identities.certificates()].length, 1);
    identities.onEvent({ kind: 'unavailable', identity: ID, reason: 'expired' });
    assert.deepEqual(told.slice(1), ['expired']);
    assert.deepEqual(
      [...identities.certificates()].map(({ kind }) => kind),
      ['certificate-unavailable'],
    );
    identities.keep([]);
    assert.deepEqual([...identities.certificates()], []);
  });

  it('has workers forget an identity when the last pod that has it is gone, and not before', () => {
    const { identities, told } = setUp();
    identities.keep([pod('a'), pod('a'), pod('b')]);
    identities.onEvent({ kind: 'issued', certificate: certificate(ID) });
    identities.keep([pod('a'), pod('b')]);
    assert.deepEqual(told, [`new ${ID}`]);
    identities.keep([pod('b')]);
    identities.onEvent({ kind: 'issued', certificate: certificate(ID) });
    assert.deepEqual(told.slice(1), [`forget ${ID}`]);
    identities.keep([pod('b')]);
    assert.equal(told.length, 2);
  });

  it('says nothing to workers of a renewal that failed while the old one is good', () => {
    const { identities, told } = setUp();
    identities.keep([pod('a')]);
    identities.onEvent({
      kind: 'failed',
      identity: ID,
      reason: 'x',
      retryInMs: 1,
      isServing: true,
    });
    assert.deepEqual(told, []);
  });

  it('waits for the first certificate, but not for long and not when there is none', async () => {
    const signal = new AbortController().signal;
    await setUp(() => Promise.resolve(certificate(ID))).identities.warm(pod('a'), signal);
    await setUp().identities.warm(pod('a'), signal);
    const { identities, clock } = setUp(() => new Promise(() => undefined));
    const warm = identities.warm(pod('a'), signal);
    clock.advance(3_000);
    await warm;
  });

  it('goes on when an identity cannot be kept', () => {
    const identities = new PodIdentities({
      clock: new FakeClock(),
      log: createLogger({
        scope: 'test',
        levels: new LogLevels('off'),
        sink: { write: () => undefined },
        wallNow: () => 0,
      }),
      manager: {
        get: () => Promise.reject(new Error('x')),
        prefetch: () => {
          throw new Error('limit');
        },
        evict: () => undefined,
      },
      trustDomainOf: () => 'td',
      tellWorkers: () => undefined,
    });
    identities.keep([pod('a')]);
  });
});
