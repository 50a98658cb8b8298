import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AgentError } from '../errors.ts';
import { parsePod, workloadUid } from './pod.ts';

const POD = {
  uid: 'a0b1-c2',
  name: 'reviews-1',
  namespace: 'shop',
  serviceAccount: 'reviews',
  labels: { app: 'reviews' },
  annotations: {},
  netnsPath: '/proc/1/fd/3',
  ips: ['10.0.0.1', 'fd00::1'],
};

describe('parsePod', () => {
  it('takes a pod and drops what it does not know', () => {
    assert.deepEqual(parsePod({ ...POD, more: 1 }), POD);
  });

  it('fills in what may be missing', () => {
    const { serviceAccount, labels, annotations, ips, ...rest } = POD;
    assert.deepEqual(parsePod(rest), {
      ...rest,
      serviceAccount: 'default',
      labels: {},
      annotations: {},
      ips: [],
    });
  });

  const refused: readonly (readonly [string, unknown])[] = [
    ['no object', 'pod'],
    ['a list', []],
    ['null', null],
    ['no uid', { ...POD, uid: undefined }],
    ['a uid that leaves the folder', { ...POD, uid: '../../etc/passwd' }],
    ['a uid of dots', { ...POD, uid: '..' }],
    ['an empty uid', { ...POD, uid: '' }],
    ['a name with a slash', { ...POD, name: 'a/b' }],
    ['an upper-case namespace', { ...POD, namespace: 'Shop' }],
    ['a relative path', { ...POD, netnsPath: 'proc/1/fd/3' }],
    ['a path with a zero byte', { ...POD, netnsPath: '/proc\0' }],
    ['labels that are no strings', { ...POD, labels: { a: 1 } }],
    ['a list of labels', { ...POD, labels: [] }],
    ['huge annotations', { ...POD, annotations: { a: 'x'.repeat(600_000) } }],
    ['an address that is none', { ...POD, ips: ['10.0.0'] }],
    ['too many addresses', { ...POD, ips: Array.from({ length: 17 }, () => '10.0.0.1') }],
    ['an account with a space', { ...POD, serviceAccount: 'a b' }],
  ];
  for (const [what, value] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(() => parsePod(value), { code: 'AGENT_POD_INVALID', retryable: false });
    });
  }

  it('names every problem at once', () => {
    assert.throws(() => parsePod({ ...POD, uid: '', name: '', ips: 1 }), /uid.*name.*ips/);
  });

  it('never throws anything else', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        try {
          parsePod(value);
        } catch (error) {
          assert.ok(error instanceof AgentError);
        }
      }),
    );
  });
});

describe('workloadUid', () => {
  it('is the uid of the mesh', () => {
    assert.equal(workloadUid('Kubernetes', parsePod(POD)), 'Kubernetes//Pod/shop/reviews-1');
  });
});
