import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isChecked } from './node-checks.testing.ts';

const NOW_MS = Date.UTC(2026, 0, 31, 12);
const FINE = {
  nowMs: NOW_MS,
  kernel: '6.1.0-generic',
  mtu: 1450,
  probeSources: ['169.254.7.127'],
  cni: { isWanted: true, problem: null, files: ['10-a.conflist: ptp, ambit-cni'] },
  controller: { isConnected: true, lastError: null },
  pods: { wanted: 1, captured: 1, errors: [] },
  reach: [{ node: 'n2', address: '10.0.0.2', pod: 'shop/a' }],
};

describe('checks that agents answer', () => {
  it('are all fine when nothing is wrong', async () => {
    const results = await isChecked({ n1: FINE, n2: FINE }, NOW_MS);
    assert.deepEqual(
      results.filter(({ result }) => result !== 'ok'),
      [],
    );
    assert.equal(results.length, 9);
  });

  it('are fine where there is no agent: another check says that', async () => {
    const results = await isChecked({}, NOW_MS);
    assert.deepEqual(
      results.filter(({ result }) => result !== 'ok'),
      [],
    );
  });

  for (const [id, result, change, said] of [
    ['agents-answer', 'error', undefined, /^n1: the agent of n1 .*404/],
    [
      'agents-connected',
      'error',
      { controller: { isConnected: false, lastError: 'refused' } },
      /^n1: refused$/,
    ],
    ['kernel', 'warning', { kernel: '5.10.0' }, /^n1: kernel 5\.10\.0$/],
    ['kernel', 'error', { kernel: '4.19.0' }, /4\.19/],
    ['kernel', 'error', { kernel: 'unknown' }, /unknown/],
    [
      'cni-order',
      'error',
      { cni: { isWanted: true, problem: 'no file', files: [] } },
      /^n1: no file \(no configuration there\)$/,
    ],
    [
      'hbone-reachable',
      'error',
      {
        reach: [{ node: 'n2', address: '10.0.0.2', pod: 'shop/a', error: 'no answer within 2 s' }],
      },
      /^n1: shop\/a on n2 \(10\.0\.0\.2\): no answer/,
    ],
    [
      'captures',
      'error',
      { pods: { errors: [{ pod: 'shop/a', error: 'EPERM' }] } },
      /^n1: shop\/a: EPERM$/,
    ],
    ['mtu', 'warning', { mtu: 9000 }, /9000 on n1; 1450 on n2|1450 on n2; 9000 on n1/],
    ['node-clocks', 'warning', { nowMs: NOW_MS - 20_000 }, /^n1 by (19|20) s$/],
    ['node-clocks', 'error', { nowMs: NOW_MS + 120_000 }, /^n1 by 1(19|20) s$/],
    ['probe-address', 'error', { probeSources: ['169.254.7.128'] }, /agents differ/],
  ] as const) {
    it(`${id} is ${result} for ${JSON.stringify(change)}`, async () => {
      const n1 = change === undefined ? undefined : { ...FINE, ...change };
      const results = await isChecked({ n1, n2: FINE }, NOW_MS);
      const found = results.find((one) => one.id === id);
      assert.equal(found?.result, result, JSON.stringify(found));
      assert.match(found.reason ?? '', said);
    });
  }

  it('finds the pod that has the address of probes', async () => {
    const pod = {
      metadata: { namespace: 'shop', name: 'thief' },
      status: { podIPs: [{ ip: '169.254.7.127' }] },
    };
    const results = await isChecked({ n1: FINE }, NOW_MS, [pod]);
    assert.equal(
      results.find(({ id }) => id === 'probe-address')?.reason,
      'it is of pod shop/thief',
    );
  });
});
