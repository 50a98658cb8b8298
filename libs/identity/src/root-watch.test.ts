import assert from 'node:assert/strict';
import { generateKeyPair } from 'node:crypto';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';

import { type CaTexts, createOwnRoot } from './ca-material.ts';
import { CertificateAuthority } from './certificate-authority.ts';
import { CertificateManager } from './certificate-manager.ts';
import { RootWatch } from './root-watch.ts';
import { parseSpiffeId } from './spiffe.ts';
import { trustMark, trustNames, trustProblem } from './trust-names.ts';

const trustDomain = 'cluster.local';
const IDS = ['a', 'b'].map((name) => `spiffe://${trustDomain}/ns/x/sa/${name}`);

/** A CA, a proxy with two certificates of it, and the proxy's root file. */
function setUp() {
  const clock = new FakeClock();
  const newRoot = (commonName: string): CaTexts =>
    createOwnRoot({ trustDomain, nowMs: clock.wallNow(), commonName });
  const [a, b] = [newRoot('a'), newRoot('b')];
  const authority = CertificateAuthority.fromTexts({
    trustDomain,
    clock,
    defaultTtlSeconds: 86_400,
    texts: a,
  });
  const manager = new CertificateManager({
    clock,
    ttlSeconds: 86_400,
    sign: ({ csrPem, identity }) =>
      Promise.resolve(authority.sign({ csrPem, identity: parseSpiffeId(identity) }).chain),
    random: () => 0.5,
  });
  const said: ReadonlySet<string>[] = [];
  const file = { text: a.roots };
  const watch = new RootWatch({
    clock,
    manager,
    read: () =>
      file.text === '' ? Promise.reject(new Error('no file')) : Promise.resolve(file.text),
    announce: (names) => void said.push(names),
  });
  /** Time in small steps, with room for requests between them. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 5_000) {
      clock.advance(Math.min(left, 5_000));
      // Keys are made in other threads.
      for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
      await new Promise((resolve) => generateKeyPair('ec', { namedCurve: 'P-256' }, resolve));
      for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    }
  };
  const wanted = (texts: CaTexts) => ({
    rootBundlePem: texts.roots,
    mark: trustMark({ rootBundlePem: texts.roots, issuerPem: texts.certificate }),
  });
  return { clock, a, b, authority, manager, watch, said, file, pass, wanted };
}

describe('RootWatch', () => {
  it('brings every certificate the new roots soon after the file has them, in each step of a rotation', async () => {
    const { a, b, authority, manager, watch, said, file, pass, wanted } = setUp();
    await Promise.all(IDS.map((id) => manager.get(id)));
    watch.start();
    await pass(10_000);
    const both = a.roots + b.roots;
    const steps: readonly CaTexts[] = [
      a,
      { ...a, roots: both },
      { ...b, roots: b.roots + a.roots },
      b,
    ];
    assert.equal(trustProblem(said.at(-1), wanted(a)), undefined);
    for (const [index, step] of steps.slice(1).entries()) {
      authority.use(step);
      assert.notEqual(trustProblem(said.at(-1), wanted(step)), undefined, `before step ${index}`);
      file.text = step.roots;
      await pass(45_000);
      assert.equal(trustProblem(said.at(-1), wanted(step)), undefined, `after step ${index}`);
    }
    await watch.stop();
    manager.stop();
  });

  it('asks again when the CA had not the new roots yet', async () => {
    const { a, b, authority, manager, watch, said, file, pass, wanted } = setUp();
    await Promise.all(IDS.map((id) => manager.get(id)));
    watch.start();
    await pass(5_000);
    const next = { ...a, roots: a.roots + b.roots };
    file.text = next.roots;
    await pass(45_000);
    assert.match(trustProblem(said.at(-1), wanted(next)) ?? '', /came with other roots/);
    authority.use(next);
    await pass(120_000);
    assert.equal(trustProblem(said.at(-1), wanted(next)), undefined);
    const before = manager.counters.issued;
    await pass(700_000);
    assert.equal(manager.counters.issued, before);
    await watch.stop();
    manager.stop();
  });

  it('renews nothing for a file that cannot be read, and nothing at the start', async () => {
    const { a, manager, watch, file, pass, said, wanted } = setUp();
    await manager.get(IDS[0] ?? '');
    file.text = '';
    watch.start();
    await pass(60_000);
    assert.match(trustProblem(said.at(-1), wanted(a)) ?? '', /root file lacks a root/);
    file.text = a.roots;
    await pass(60_000);
    assert.equal(manager.counters.issued, 1);
    assert.equal(trustProblem(said.at(-1), wanted(a)), undefined);
    await watch.stop();
    manager.stop();
  });
});

describe('trustProblem', () => {
  const { a, b, wanted } = setUp();
  const file = (...texts: CaTexts[]) => texts.map(({ roots }) => roots).join('');
  for (const [what, names, problem] of [
    ['says nothing', undefined, /does not say/],
    ['says no names', new Set<string>(), /does not say/],
    ['has no roots', trustNames({ fileRoots: undefined, certificates: [] }), /lacks a root/],
    ['has junk', trustNames({ fileRoots: 'junk', certificates: [] }), /lacks a root/],
    ['has another root', trustNames({ fileRoots: file(b), certificates: [] }), /lacks a root/],
    ['has the root and no certificate', trustNames({ fileRoots: file(a), certificates: [] }), ''],
    ['has more roots', trustNames({ fileRoots: file(b, a), certificates: [] }), ''],
  ] as const) {
    it(`answers for a proxy that ${what}`, () => {
      const found = trustProblem(names, wanted(a));
      if (problem === '') assert.equal(found, undefined);
      else assert.match(found ?? '', problem);
    });
  }
});
