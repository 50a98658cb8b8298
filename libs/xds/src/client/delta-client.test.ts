import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { create } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';

import {
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  ResourceSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { TYPE_URL } from '../type-urls.ts';
import { StreamEnd } from './delta-client.ts';
import { announceNames, type Rejection, type Subscription } from './subscription.ts';
import { Pipe, rig, turn } from './testing-pipe.ts';

function response(
  nonce: string,
  resources: Readonly<Record<string, string>>,
  removed: readonly string[] = [],
  typeUrl: string = TYPE_URL.address,
): DeltaDiscoveryResponse {
  return create(DeltaDiscoveryResponseSchema, {
    typeUrl,
    nonce,
    removedResources: [...removed],
    resources: Object.entries(resources).map(([name, version]) =>
      create(ResourceSchema, {
        name,
        version,
        resource: create(AnySchema, { typeUrl, value: Buffer.from(name) }),
      }),
    ),
  });
}

function recording(
  typeUrl: string,
  log: string[],
  reject: (name: string) => string | undefined = () => undefined,
): Subscription {
  return {
    typeUrl,
    mode: 'wildcard',
    apply: ({ changed, removed }) => {
      const rejections: Rejection[] = [];
      for (const { name, version } of changed) {
        const reason = reject(name);
        if (reason === undefined) {
          log.push(`${name}@${version}`);
        } else {
          rejections.push({ name, reason });
        }
      }
      log.push(...removed.map((name) => `-${name}`));
      return Promise.resolve(rejections);
    },
  };
}

describe('DeltaClient', () => {
  it('subscribes in order, with the node, and to everything', async () => {
    const it = rig([recording(TYPE_URL.authorization, []), recording(TYPE_URL.address, [])]);
    it.client.start();
    it.client.start();
    await turn();
    const [first, second, ...others] = it.pipe().requests;
    assert.deepEqual([first?.typeUrl, second?.typeUrl], [TYPE_URL.authorization, TYPE_URL.address]);
    assert.equal(first?.node?.id, 'ztunnel~10.0.0.1~a.istio-system~istio-system.svc.cluster.local');
    assert.deepEqual(first?.resourceNamesSubscribe, []);
    assert.equal(others.length, 0);
    await it.client.stop();
    assert.equal(it.pipe().isClosed, true);
  });

  it('acknowledges when applied, not before, and one response at a time', async () => {
    const gate = Promise.withResolvers<readonly Rejection[]>();
    let applied = 0;
    const it = rig([
      {
        typeUrl: TYPE_URL.address,
        mode: 'wildcard',
        apply: () => {
          applied += 1;
          return gate.promise;
        },
      },
    ]);
    it.client.start();
    await turn();
    it.pipe().push(response('1', { a: '1' }));
    it.pipe().push(response('2', { b: '1' }));
    await turn();
    assert.equal(applied, 1);
    assert.equal(it.pipe().requests.length, 1);
    gate.resolve([]);
    await turn();
    assert.deepEqual(
      it
        .pipe()
        .requests.slice(1)
        .map((r) => [r.responseNonce, r.errorDetail]),
      [
        ['1', undefined],
        ['2', undefined],
      ],
    );
    await it.client.stop();
  });

  it('refuses by name, applies the rest, and claims after a break only what it applied', async () => {
    const log: string[] = [];
    const bad = new Set(['b']);
    const it = rig([
      recording(TYPE_URL.address, log, (name) => (bad.has(name) ? 'no good' : undefined)),
    ]);
    it.client.start();
    await turn();
    it.pipe().push(response('1', { a: '1', b: '1', c: '1' }));
    await turn();
    assert.deepEqual(log, ['a@1', 'c@1']);
    assert.equal(it.pipe().requests[1]?.errorDetail?.message, 'b: no good');
    assert.equal(it.client.status().types[0]?.state, 'NACKED');
    bad.add('a');
    it.pipe().push(response('2', { a: '2' }, ['c']));
    it.pipe().push(new StreamEnd('broke', { isRoutine: true }));
    await turn();
    it.clock.advance(20);
    await turn();
    assert.equal(it.pipes.length, 2);
    // `a` is still in force in its first version: claiming it gets the second again, and its removal.
    assert.deepEqual(it.pipe().requests[0]?.initialResourceVersions, { a: '1' });
    await it.client.stop();
  });

  it('refuses all of a response that can not be applied, and what has another type', async () => {
    let isBroken = true;
    const it = rig([
      {
        typeUrl: TYPE_URL.address,
        mode: 'wildcard',
        apply: () => (isBroken ? Promise.reject(new Error('worker died')) : Promise.resolve([])),
      },
    ]);
    it.client.start();
    await turn();
    it.pipe().push(response('1', { a: '1', b: '1' }));
    it.pipe().push(response('2', {}, ['z']));
    await turn();
    assert.equal(it.pipe().requests[1]?.errorDetail?.message, 'a: worker died; b: worker died');
    assert.equal(it.pipe().requests[2]?.errorDetail?.message, 'z: worker died');
    assert.equal(
      it.client.status().isSynced,
      false,
      'a push that is refused as a whole is no sync',
    );
    isBroken = false;
    const mixed = response('3', { a: '1', b: '1' });
    const [, second] = mixed.resources;
    assert.ok(second?.resource);
    second.resource.typeUrl = 'other';
    it.pipe().push(mixed);
    await turn();
    assert.equal(it.pipe().requests[3]?.errorDetail?.message, 'b: its content is other');
    assert.equal(it.client.status().isSynced, true);
    await it.client.stop();
  });

  it('cuts a long refusal', async () => {
    const it = rig([recording(TYPE_URL.address, [], () => 'x'.repeat(1_000))]);
    it.client.start();
    await turn();
    it.pipe().push(
      response('1', Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`r${n}`, '1']))),
    );
    await turn();
    assert.ok((it.pipe().requests[1]?.errorDetail?.message.length ?? 0) < 9_000);
    await it.client.stop();
  });

  it('is synced once every wildcard type was answered, also by nothing', async () => {
    const it = rig([
      recording(TYPE_URL.authorization, []),
      recording(TYPE_URL.address, []),
      announceNames(TYPE_URL.capture),
    ]);
    let isSynced = false;
    void it.client.firstSync.then(() => {
      isSynced = true;
    });
    it.client.start();
    await turn();
    it.pipe().push(response('1', {}, [], TYPE_URL.authorization));
    await turn();
    assert.equal(isSynced, false);
    it.pipe().push(response('2', {}));
    await turn();
    assert.equal(isSynced, true);
    await it.client.stop();
  });

  it('says names as they come and go, all of them after a break, and never everything', async () => {
    const it = rig([announceNames(TYPE_URL.capture)]);
    const asked = (): unknown =>
      it.pipe().requests.map((r) => [r.resourceNamesSubscribe, r.resourceNamesUnsubscribe]);
    it.client.start();
    await turn();
    assert.deepEqual(asked(), [[['*'], ['*']]], 'an empty list would be everything');
    it.client.setNames(TYPE_URL.capture, new Set(['a', 'b']));
    it.client.setNames(TYPE_URL.capture, new Set(['a', 'b']));
    it.client.setNames(TYPE_URL.capture, new Set(['b', 'c']));
    assert.deepEqual(asked(), [
      [['*'], ['*']],
      [['a', 'b'], []],
      [['c'], ['a']],
    ]);
    it.pipe().push('end');
    await turn();
    it.clock.advance(20);
    await turn();
    assert.deepEqual(asked(), [[['b', 'c'], []]]);
    assert.throws(() => it.client.setNames(TYPE_URL.address, new Set()), {
      code: 'XDS_REQUEST_INVALID',
    });
    await it.client.stop();
  });

  it('waits longer after each failure, up to 15 s, and starts over after a response or a recycling', async () => {
    const times: number[] = [];
    let outcome: 'fail' | 'recycle' | 'serve' = 'fail';
    const it = rig([recording(TYPE_URL.address, [])], () => {
      times.push(it.clock.now());
      if (outcome === 'fail') {
        return Promise.reject(new Error('connection refused'));
      }
      const pipe = new Pipe();
      if (outcome === 'serve') {
        pipe.push(response('1', {}));
      }
      pipe.push(new StreamEnd('gone', { isRoutine: outcome === 'recycle' }));
      return Promise.resolve(pipe);
    });
    const pass = async (ms: number): Promise<number[]> => {
      times.length = 0;
      const start = it.clock.now();
      while (it.clock.now() - start < ms) {
        it.clock.advance(10);
        await turn();
      }
      return times.slice(1).map((time, index) => time - (times[index] ?? 0));
    };
    it.client.start();
    await turn();
    const growing = await pass(700);
    assert.deepEqual(growing.slice(0, 5), [20, 40, 80, 160, 320]);
    await pass(40_000);
    outcome = 'recycle';
    await pass(15_100);
    const recycled = await pass(200);
    assert.deepEqual(new Set(recycled.slice(1)), new Set([10]));
    outcome = 'serve';
    assert.deepEqual(new Set((await pass(200)).slice(1)), new Set([10]));
    assert.ok(it.client.counters.terminations.ConnectionError > 10);
    assert.ok(it.client.counters.terminations.Reconnect > 1);
    await it.client.stop();
  });

  it('reports a break once, and stops while it waits to connect', async () => {
    const it = rig([recording(TYPE_URL.address, [])], () => Promise.reject(new Error('refused')));
    it.client.start();
    for (let count = 0; count < 5; count += 1) {
      await turn();
      it.clock.advance(1_000);
    }
    assert.deepEqual(it.disconnects, ['refused']);
    assert.equal(it.client.status().lastError, 'refused');
    await it.client.stop();
    await it.client.stop();
  });

  it('ignores a type that it did not ask for, and counts it', async () => {
    const it = rig([recording(TYPE_URL.address, [])]);
    it.client.start();
    await turn();
    it.pipe().push(response('1', { a: '1' }, [], 'other'));
    await turn();
    assert.equal(it.client.counters.unexpected, 1);
    assert.equal(it.pipe().requests.length, 1);
    await it.client.stop();
  });

  it('claims after a break what it refused and put a stand-in for, to hear of its removal', async () => {
    const refused = new Set(['bad1', 'bad2']);
    const refuse = (name: string) => (refused.has(name) ? 'no' : undefined);
    const subscription = recording(TYPE_URL.address, [], refuse);
    const it = rig([{ ...subscription, claimsRejected: true }]);
    it.client.start();
    await turn();
    it.pipe().push(response('0', { held: '1' }));
    it.pipe().push(response('1', { good: '1', bad1: '1', bad2: '1' }));
    it.pipe().push(response('2', {}, ['bad2']));
    await turn();
    // A version that was held is none any more: should the server go back to it, it must be sent again.
    refused.add('held');
    it.pipe().push(response('3', { held: '2' }));
    await turn();
    it.pipe().push('end');
    await turn();
    it.clock.advance(60_000);
    await turn();
    assert.equal(it.pipes.length, 2);
    assert.deepEqual(it.pipe().requests[0]?.initialResourceVersions, {
      good: '1',
      bad1: '',
      held: '',
    });
    await it.client.stop();
  });
});
