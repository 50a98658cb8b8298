/** Sessions of clients whose root leaves the bundle: nothing new, and an end in time; those of other roots do not notice. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import { buildCa, buildLeaf, type Issuer } from '@ambit/identity';
import { Recorder } from '@ambit/proxy/testing';
import { TestCa, type TestIdentity } from '@ambit/testkit';

import type { ConnectAnswer } from './server-session.ts';
import { TunnelRig } from './testing/index.ts';

const TARGET = { authority: '10.0.0.7:80' };
const DISTRUSTED_MS = 5_000;
const HOUR_MS = 3_600_000;
const TURNS_MAX = 2_000;
const CLIENT = 'spiffe://cluster.local/ns/shop/sa/client';

const OLD = new TestCa('old');
const NEXT = new TestCa('next');
const BOTH = OLD.rootPem + NEXT.rootPem;
const serverOf = (rootsPem: string): TestIdentity => ({
  ...NEXT.workload('shop', 'server'),
  rootsPem,
});

const echo: ConnectAnswer = {
  status: 200,
  serve: (conn) => {
    conn.start({
      onData: (chunk) => void conn.write(chunk),
      onEnd: () => conn.end(),
      onDrain: () => undefined,
      onClose: () => undefined,
    });
  },
};

/** A server that believes in `rootsPem`, and a tunnel of `client` that has carried a byte. */
async function open(client: TestIdentity, rootsPem: string) {
  const clock = new FakeClock({ wallStartMs: Date.now() });
  let asked = 0;
  const rig = await TunnelRig.start({
    clock,
    server: serverOf(rootsPem),
    client,
    onConnect: () => {
      asked += 1;
      return echo;
    },
    serverLimits: { distrustedMs: DISTRUSTED_MS },
  });
  const connect = async () => {
    const { conn } = await rig.pool.connect(rig.key(), TARGET);
    const got = Recorder.on(conn);
    const carries = async (): Promise<void> => {
      const before = got.bytes;
      conn.write(Buffer.from('x'));
      await got.until(({ bytes }) => bytes === before + 1);
    };
    await carries();
    return { conn, got, carries };
  };
  const first = await connect();
  return {
    ...first,
    rig,
    clock,
    connect,
    asked: () => asked,
    /** Answers how many sessions are distrusted anew. */
    believe: (roots: string): number => {
      rig.serverIdentity = serverOf(roots);
      return rig.server.recheckRoots();
    },
    [Symbol.asyncDispose]: async () => await rig[Symbol.asyncDispose](),
  };
}

describe('a session whose root is trusted no longer', () => {
  it('takes nothing new, in the same moment', async () => {
    await using to = await open({ ...OLD.workload('shop', 'client'), rootsPem: BOTH }, BOTH);
    assert.equal(to.believe(NEXT.rootPem), 1);
    // It has not heard of the end yet, and asks on the session that it has.
    await assert.rejects(to.connect());
    assert.equal(to.asked(), 1);
    assert.equal(to.rig.server.counters.distrusted, 1);
    assert.equal(to.rig.server.counters.refusedPeers.chain, 2);
    assert.equal(to.believe(`${NEXT.rootPem}\n`), 0, 'it is told of once');
  });

  it('keeps what it carries, and is ended after its time', async () => {
    await using to = await open({ ...OLD.workload('shop', 'client'), rootsPem: BOTH }, BOTH);
    to.believe(NEXT.rootPem);
    to.clock.advance(DISTRUSTED_MS - 1);
    await to.carries();
    to.clock.advance(1);
    assert.ok((await to.got.closed) instanceof Error);
    assert.equal(to.rig.server.live, 0);
  });

  it('is over as soon as it carries nothing', async () => {
    await using to = await open({ ...OLD.workload('shop', 'client'), rootsPem: BOTH }, BOTH);
    to.believe(NEXT.rootPem);
    to.conn.end();
    await to.got.closed;
    for (let turn = 0; turn < TURNS_MAX && to.rig.server.live > 0; turn += 1) {
      await systemClock.sleep(1);
    }
    assert.equal(to.rig.server.live, 0);
  });

  it('is not ended where the root is back within that time', async () => {
    await using to = await open({ ...OLD.workload('shop', 'client'), rootsPem: BOTH }, BOTH);
    to.believe(NEXT.rootPem);
    assert.equal(to.believe(BOTH), 0);
    to.clock.advance(DISTRUSTED_MS);
    await to.carries();
  });

  it('is left as it is while the server has no certificate', async () => {
    await using to = await open({ ...OLD.workload('shop', 'client'), rootsPem: BOTH }, BOTH);
    Object.defineProperty(to.rig, 'serverIdentity', {
      get: () => {
        throw new Error('none');
      },
    });
    assert.equal(to.rig.server.recheckRoots(), 0);
    await to.carries();
  });
});

const ecKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

function validity() {
  const now = Date.now();
  return { notBeforeMs: now - HOUR_MS, notAfterMs: now + HOUR_MS };
}

function makeCa(commonName: string, privateKey = ecKey(), issuer?: Issuer) {
  const { pem, certificate } = buildCa({
    privateKey,
    organization: 'test',
    commonName,
    validity: validity(),
    ...(issuer === undefined ? {} : { issuer }),
  });
  return { pem, certificate, privateKey };
}

/** A client that shows the leaf that `issuer` signed, and `above` it. */
function clientBelow(issuer: Issuer, ...above: readonly { readonly pem: string }[]): TestIdentity {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { pem } = buildLeaf({
    issuer,
    publicKey: pair.publicKey,
    names: [{ kind: 'uri', value: CLIENT }],
    validity: validity(),
  });
  return {
    identity: CLIENT,
    privateKeyPem: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    chainPem: [pem, ...above.map((one) => one.pem)].join(''),
    rootsPem: NEXT.rootPem,
    notAfterMs: Date.now() + HOUR_MS,
  };
}

describe('when the bundle changes, a session', () => {
  const key = ecKey();
  const a = makeCa('a', key);
  const b = makeCa('b');
  const middleKey = ecKey();
  const belowA = makeCa('middle', middleKey, a);
  const belowB = makeCa('middle', middleKey, b);
  for (const [title, client, before, after, isKept] of [
    ['of the root that comes is kept', clientBelow(b), [a, b], [b], true],
    ['of the root that goes is not', clientBelow(a), [a, b], [b], false],
    ['of either is kept while both are there', clientBelow(a), [a], [a, b], true],
    ['is kept below an intermediate', clientBelow(belowB, belowB), [a, b], [b], true],
    ['is not below one whose root goes', clientBelow(belowA, belowA), [a, b], [b], false],
    ['is kept by the way up that it shows', clientBelow(a, makeCa('a', key, b)), [a], [b], true],
    ['is kept by a renewed root with the key', clientBelow(a), [a], [makeCa('a', key)], true],
    ['is not by one that has but the name', clientBelow(a), [a], [makeCa('a')], false],
    ['is not by a bundle that cannot be read', clientBelow(a), [a], [{ pem: 'bad' }], false],
  ] as const) {
    it(title, async () => {
      const bundle = (roots: readonly { readonly pem: string }[]): string =>
        NEXT.rootPem + roots.map(({ pem }) => pem).join('');
      await using to = await open(client, bundle(before));
      // Without the root of the server's own certificate the bundle says of clients what it says.
      const pems = after.map(({ pem }) => pem).join('');
      assert.equal(to.believe(pems), isKept ? 0 : 1);
      await to.carries();
      if (isKept) {
        await to.connect();
        assert.equal(to.rig.pool.counters.dials, 1);
        to.clock.advance(DISTRUSTED_MS);
        await to.carries();
      }
    });
  }
});
