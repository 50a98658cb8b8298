import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';

import { CertificateAuthority } from './certificate-authority.ts';
import type { CertificateSigner } from './certificate-fetch.ts';
import { type CertificateEvent, CertificateManager } from './certificate-manager.ts';
import { createCertificateRequest } from './csr.ts';
import { parseSpiffeId } from './spiffe.ts';

const folder = await mkdtemp(join(tmpdir(), 'ambit-rotation-'));
after(() => rm(folder, { recursive: true }));

const ID = 'spiffe://cluster.local/ns/shop/sa/reviews';
const idOf = (n: number): string => `spiffe://cluster.local/ns/shop/sa/s${n}`;

interface Rig {
  readonly clock: FakeClock;
  readonly manager: CertificateManager;
  readonly events: CertificateEvent[];
  readonly times: number[];
  /** What the CA does next; 'ok' by default. */
  ca: 'ok' | 'down' | 'hang';
  /** Advances in small steps and lets the work between them happen. */
  pass(ms: number, stepMs?: number): Promise<void>;
  /** Until nothing is in flight (key making is real work of the thread pool). */
  settle(): Promise<void>;
}

let caNumber = 0;

async function rig(
  options: {
    ttlSeconds?: number;
    inFlightMax?: number;
    identitiesMax?: number;
    sign?: CertificateSigner;
    random?: () => number;
  } = {},
): Promise<Rig> {
  const clock = new FakeClock();
  caNumber += 1;
  const ca = await CertificateAuthority.openOwn({
    folder: join(folder, String(caNumber)),
    trustDomain: 'cluster.local',
    clock,
    defaultTtlSeconds: 90 * 86_400,
  });
  const events: CertificateEvent[] = [];
  const times: number[] = [];
  let pending = 0;
  const sign: CertificateSigner = async (request) => {
    times.push(clock.now());
    if (result.ca === 'down') {
      throw new Error('connection refused');
    }
    if (result.ca === 'hang') {
      const hanging = Promise.withResolvers<never>();
      const onAbort = (): void => hanging.reject(new Error('cut off'));
      request.signal.addEventListener('abort', onAbort, { once: true });
      return await hanging.promise;
    }
    return ca.sign({ ...request, identity: parseSpiffeId(request.identity) }).chain;
  };
  const manager = new CertificateManager({
    clock,
    sign: options.sign ?? sign,
    ttlSeconds: options.ttlSeconds ?? 20,
    onEvent: (event) => {
      events.push(event);
      pending += 1;
    },
    random: options.random ?? (() => 0.5),
    ...(options.inFlightMax === undefined ? {} : { inFlightMax: options.inFlightMax }),
    ...(options.identitiesMax === undefined ? {} : { identitiesMax: options.identitiesMax }),
  });
  const result: Rig = {
    clock,
    manager,
    events,
    times,
    ca: 'ok',
    settle: async () => {
      do {
        pending = 0;
        for (let turn = 0; turn < 20; turn += 1) {
          await new Promise(setImmediate);
        }
      } while (
        pending > 0 ||
        manager.counters.requests >
          manager.counters.issued + manager.counters.failed + (result.ca === 'hang' ? 1 : 0)
      );
    },
    pass: async (ms, stepMs = 1_000) => {
      for (let done = 0; done < ms; done += stepMs) {
        clock.advance(stepMs);
        await result.settle();
      }
    },
  };
  return result;
}

const kinds = (events: readonly CertificateEvent[]): string[] => events.map((event) => event.kind);

describe('CertificateManager', () => {
  it('renews certificates of 20 s at half life, and always has a good one', async () => {
    const { manager, clock, times, settle } = await rig();
    await manager.get(ID);
    for (let second = 0; second < 90; second += 1) {
      clock.advance(1_000);
      await settle();
      const certificate = manager.current(ID);
      assert.ok(certificate, `a certificate at ${second} s`);
      assert.ok(certificate.notAfterMs > clock.wallNow(), `a good one at ${second} s`);
    }
    assert.deepEqual(
      times,
      [0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 70_000, 80_000, 90_000],
    );
    manager.stop();
  });

  it('spreads renewals over 40 to 60 % of life', async () => {
    for (const [random, secondAt] of [
      [0, 8_000],
      [1, 12_000],
    ] as const) {
      const { manager, times, pass } = await rig({ random: () => random });
      await manager.get(ID);
      await pass(13_000);
      assert.equal(times[1], secondAt);
      manager.stop();
    }
  });

  it('serves the old one to its last second while the CA is away, then refuses at once', async () => {
    const it = await rig();
    await it.manager.get(ID);
    it.ca = 'down';
    await it.pass(19_000);
    assert.ok(it.manager.current(ID), 'one second is left');
    assert.ok(it.manager.counters.failed >= 3, 'it has tried meanwhile');
    await it.pass(1_000);
    assert.equal(it.manager.current(ID), undefined);
    await assert.rejects(it.manager.get(ID), { code: 'IDENTITY_CERTIFICATE_UNAVAILABLE' });
    assert.equal(it.events.filter((event) => event.kind === 'unavailable').length, 1);
    assert.match(it.manager.describe()[0]?.state ?? '', /^Unavailable: /);

    it.ca = 'ok';
    await it.pass(180_000);
    assert.ok(it.manager.current(ID), 'it recovers by itself');
    assert.equal(it.manager.describe()[0]?.state, 'Available');
    it.manager.stop();
  });

  it('hands out nothing that expired a moment ago, before any timer has run', async () => {
    const it = await rig();
    await it.manager.get(ID);
    it.clock.advance(20_000);
    assert.equal(it.manager.current(ID), undefined);
    it.manager.stop();
  });

  it('gives up at expiry also while a fetch hangs, and cuts the fetch off', async () => {
    const it = await rig();
    await it.manager.get(ID);
    it.ca = 'hang';
    await it.pass(20_000);
    assert.equal(it.manager.current(ID), undefined);
    assert.deepEqual(kinds(it.events), ['issued', 'unavailable']);
    await it.pass(6_000);
    assert.equal(it.events.at(-1)?.kind, 'failed', 'the hanging fetch was cut off');
    it.manager.stop();
  });

  it('backs off from 1 s to 150 s while there was never one, and answers callers at once', async () => {
    const it = await rig();
    it.ca = 'down';
    await assert.rejects(it.manager.get(ID), /no certificate for .*connection refused/);
    await it.pass(600_000, 500);
    const gaps = it.times.slice(1).map((time, index) => time - (it.times[index] ?? 0));
    assert.deepEqual(
      gaps.slice(0, 10),
      [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 150_000, 150_000],
    );
    await assert.rejects(it.manager.get(ID), { code: 'IDENTITY_CERTIFICATE_UNAVAILABLE' });
    it.manager.stop();
  });

  it('asks at once for what failed, and for nothing else, when told that the CA is back', async () => {
    const it = await rig({ ttlSeconds: 86_400 });
    await it.manager.get(idOf(1));
    it.ca = 'down';
    await assert.rejects(it.manager.get(ID), /connection refused/);
    await it.pass(600_000, 500);
    const before = it.times.length;
    it.ca = 'ok';
    it.manager.retryFailed();
    await it.pass(1, 1);
    assert.equal(it.times.length, before + 1);
    assert.ok(it.manager.current(ID) !== undefined);
    it.manager.stop();
  });

  it('lets several callers wait for one fetch', async () => {
    const it = await rig();
    const all = await Promise.all([it.manager.get(ID), it.manager.get(ID), it.manager.get(ID)]);
    assert.equal(new Set(all.map((certificate) => certificate.serialNumber)).size, 1);
    assert.equal(it.times.length, 1);
    it.manager.stop();
  });

  it('rejects a caller whose signal aborts, and goes on for the others', async () => {
    const it = await rig();
    const abort = new AbortController();
    const gone = it.manager.get(ID, { signal: abort.signal });
    const stays = it.manager.get(ID);
    abort.abort(new Error('caller left'));
    await assert.rejects(gone, /caller left/);
    await stays;
    it.manager.stop();
  });

  it('has at most eight fetches in flight, callers before warm-ups', async () => {
    const it = await rig();
    it.ca = 'hang';
    for (let n = 0; n < 20; n += 1) {
      it.manager.prefetch(idOf(n));
    }
    const waiting = it.manager.get(ID).catch(() => undefined);
    for (let turn = 0; turn < 200; turn += 1) {
      await new Promise(setImmediate);
    }
    assert.equal(it.manager.counters.requests, 8);
    assert.equal(it.manager.size, 21);
    it.manager.stop();
    await waiting;
  });

  it('refuses identities beyond its bound, and what is no identity', async () => {
    const it = await rig({ identitiesMax: 2 });
    it.manager.prefetch(idOf(1));
    it.manager.prefetch(idOf(2));
    it.manager.prefetch(idOf(2));
    assert.throws(() => it.manager.prefetch(idOf(3)), { code: 'IDENTITY_LIMIT' });
    assert.equal(it.manager.counters.refusedAtLimit, 1);
    it.manager.evict(idOf(1));
    it.manager.prefetch(idOf(3));
    assert.throws(() => it.manager.prefetch('reviews'), { code: 'IDENTITY_SPIFFE_INVALID' });
    it.manager.stop();
  });

  it('forgets an evicted identity and renews it no more', async () => {
    const it = await rig();
    await it.manager.get(ID);
    it.manager.evict(ID);
    it.manager.evict(ID);
    await it.pass(60_000);
    assert.equal(it.times.length, 1);
    assert.deepEqual(kinds(it.events), ['issued', 'evicted']);
    assert.deepEqual(it.manager.describe(), []);
  });

  it('refuses callers that wait when it is evicted or stopped', async () => {
    const it = await rig();
    it.ca = 'hang';
    const evicted = it.manager.get(ID);
    const stopped = it.manager.get(idOf(1));
    it.manager.evict(ID);
    it.manager.stop();
    await assert.rejects(evicted, /it was evicted/);
    await assert.rejects(stopped, /has stopped/);
    await assert.rejects(it.manager.get(ID), { code: 'IDENTITY_STOPPED' });
  });

  it('sleeps longer than a timer holds for a certificate of 90 days', async () => {
    const it = await rig({ ttlSeconds: 90 * 86_400 });
    await it.manager.get(ID);
    await it.pass(46 * 86_400_000, 3_600_000);
    assert.equal(it.times.length, 2);
    assert.equal(it.times[1], 45 * 86_400_000);
    it.manager.stop();
  });

  it('describes certificates with the keys of the reference and without a private key', async () => {
    const it = await rig();
    await it.manager.get(ID);
    const [dump] = it.manager.describe();
    assert.equal(dump?.identity, ID);
    assert.deepEqual(Object.keys(dump?.certChain[0] ?? {}).sort(), [
      'expirationTime',
      'pem',
      'serialNumber',
      'validFrom',
    ]);
    assert.match(dump?.certChain[0]?.serialNumber ?? '', /^\d+$/);
    assert.equal(dump?.certChain[0]?.expirationTime, '2026-01-01T00:00:20Z');
    assert.equal(JSON.stringify(dump).includes('PRIVATE'), false);
    it.manager.stop();
  });
});

describe('CertificateManager with a CA that answers wrongly', () => {
  const clock = new FakeClock();

  it('refuses another identity, another key, no root, a root that does not fit, an expired one', async () => {
    const open = async (name: string, at = clock): Promise<CertificateAuthority> =>
      await CertificateAuthority.openOwn({
        folder: join(folder, name),
        trustDomain: 'cluster.local',
        clock: at,
        defaultTtlSeconds: 60,
      });
    const ca = await open('wrong');
    const other = await open('wrong-other');
    const past = await CertificateAuthority.openOwn({
      folder: join(folder, 'wrong-past'),
      trustDomain: 'cluster.local',
      clock: new FakeClock({ wallStartMs: Date.UTC(2025, 0, 1) }),
      defaultTtlSeconds: 60,
    });
    const identity = parseSpiffeId(ID);
    const answers: Record<string, CertificateSigner> = {
      identity: async ({ csrPem }) =>
        ca.sign({ csrPem, identity: { ...identity, serviceAccount: 'other' } }).chain,
      key: async () => {
        return ca.sign({ csrPem: (await createCertificateRequest(ID)).csrPem, identity }).chain;
      },
      'no root': async ({ csrPem }) => ca.sign({ csrPem, identity }).chain.slice(0, 1),
      nothing: async () => [],
      'a foreign root': async ({ csrPem }) => [
        ca.sign({ csrPem, identity }).chain[0] ?? '',
        other.rootBundlePem,
      ],
      expired: async ({ csrPem }) => past.sign({ csrPem, identity }).chain,
      'no PEM': async () => ['x', 'y'],
    };
    for (const [name, sign] of Object.entries(answers)) {
      const manager = new CertificateManager({ clock, sign, ttlSeconds: 60 });
      await assert.rejects(manager.get(ID), { code: 'IDENTITY_CERTIFICATE_UNAVAILABLE' }, name);
      assert.equal(manager.current(ID), undefined, name);
      manager.stop();
    }
  });
});
