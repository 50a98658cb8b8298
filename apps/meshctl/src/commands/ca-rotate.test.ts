import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { AdminCa } from '@ambit/model';
import { FakeController, runMeshctl } from '../testing.ts';

const A = { name: 'O=cluster.local', fingerprint: 'AA:'.repeat(31), notAfterMs: 4e12 } as const;
const B = { ...A, name: 'O=cluster.local, CN=next', fingerprint: 'BB:'.repeat(31) } as const;
const BASE = { trustDomain: 'cluster.local', source: 'Secret m/ambit-ca-secret', proxies: 2 };
const STEPS: readonly AdminCa[] = [
  { ...BASE, step: 'none', next: 'distribute', waiting: [], roots: [{ ...A, use: 'signs' }] },
  {
    ...BASE,
    step: 'distribute',
    next: 'sign',
    sinceMs: 1,
    waiting: [],
    roots: [
      { ...A, use: 'signs' },
      { ...B, use: 'next' },
    ],
  },
  {
    ...BASE,
    step: 'sign',
    next: 'finish',
    waiting: [],
    roots: [
      { ...B, use: 'signs' },
      { ...A, use: 'trusted' },
    ],
  },
  { ...BASE, step: 'none', next: 'distribute', waiting: [], roots: [{ ...B, use: 'signs' }] },
];
const BEHIND = [{ proxy: 'node-agent node1', reason: 'its root file lacks a root' }];

/** A controller that goes through the steps, and what it was asked. */
async function controller(change: (ca: AdminCa) => AdminCa = (ca) => ca) {
  let at = 0;
  const asked: string[] = [];
  const fake = await FakeController.startWith((path) => {
    asked.push(path);
    const refusal = { status: 409, text: JSON.stringify({ error: 'no, because' }) };
    if (path.startsWith('/v1/ca/rotate/abort')) return refusal;
    const isNext = path.startsWith('/v1/ca/rotate/next');
    const found = STEPS[at] ?? assert.fail();
    if (isNext && change(found).waiting.length > 0 && !path.includes('force')) return refusal;
    if (isNext) at += 1;
    return { status: 200, text: JSON.stringify(change(STEPS[at] ?? found)) };
  });
  return { fake, asked };
}

const run = async (fake: FakeController, ...args: readonly string[]) =>
  await runMeshctl(['ca', ...args], { controller: fake.socket });

describe('meshctl ca', { concurrency: 3 }, () => {
  it('rotates in three steps', async () => {
    const { fake, asked } = await controller();
    await using _ = fake;
    const { code, stdout } = await run(fake, 'rotate');
    assert.equal(
      stdout,
      `✔ The next root is trusted beside the old one
✔ The next root signs; the old one is still trusted
✔ The old root is trusted no longer
`,
    );
    assert.equal(code, 0);
    assert.deepEqual(
      asked.filter((path) => path.includes('next')),
      ['none', 'distribute', 'sign'].map((step) => `/v1/ca/rotate/next?from=${step}`),
    );
  });

  it('takes one step if that is asked', async () => {
    const { fake } = await controller();
    await using _ = fake;
    assert.equal(
      (await run(fake, 'rotate', '--step')).stdout,
      '✔ The next root is trusted beside the old one\n',
    );
    const { stdout } = await run(fake, 'status');
    assert.match(stdout, /CN=next +next +in \d+d/);
    assert.match(stdout, /Rotation: distribute \(since \d+d\), next step: sign/);
  });

  it('waits for proxies, and takes no step when they do not follow in time', async () => {
    const { fake, asked } = await controller((ca) => ({ ...ca, waiting: BEHIND }));
    await using _ = fake;
    const { code, stderr } = await run(fake, 'rotate', '--timeout', '1s');
    assert.equal(code, 1);
    assert.match(stderr, /waiting for 1 of 2 proxies \(node-agent node1: its root file lacks/);
    assert.match(stderr, /not all proxies followed within 1s/);
    assert.ok(!asked.some((path) => path.includes('next')));
  });

  it('does not wait when it is forced', async () => {
    const { fake, asked } = await controller((ca) => ({ ...ca, waiting: BEHIND }));
    await using _ = fake;
    assert.equal((await run(fake, 'rotate', '--step', '--force')).code, 0);
    assert.ok(asked.includes('/v1/ca/rotate/next?from=none&force=true'));
  });

  it('says why the controller refuses', async () => {
    const { fake } = await controller();
    await using _ = fake;
    const { code, stderr } = await run(fake, 'rotate', '--abort');
    assert.equal(code, 1);
    assert.match(stderr, /refuses that step\n {2}why: no, because/);
  });

  it('rotates no CA of somebody else', async () => {
    const { fake, asked } = await controller((ca) => ({
      ...ca,
      fixedBecause: 'it is in a folder',
    }));
    await using _ = fake;
    const { code, stderr } = await run(fake, 'rotate');
    assert.equal(code, 1);
    assert.match(stderr, /it is in a folder/);
    assert.deepEqual(asked, ['/v1/ca']);
  });

  it('says when a controller knows nothing of it', async () => {
    await using old = await FakeController.startWith(() => ({ status: 404, text: '{}' }));
    const { code, stderr } = await run(old, 'status');
    assert.equal(code, 69);
    assert.match(stderr, /says nothing of its CA\n {2}why: it answered with 404/);
  });
});
