import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';

import { XdsError } from '../errors.ts';
import { ReplicaUpdateSchema } from '../gen/ambit/mesh/v1/replicas_pb.ts';
import {
  decodeReplicaUpdate,
  encodeReplicaUpdate,
  REPLICA_UPDATE_BYTES_MAX,
  type ReplicaUpdate,
} from './replica-update.ts';

const EMPTY: ReplicaUpdate = {
  replica: 'controller-1',
  isComplete: true,
  proxies: [],
  goneProxies: [],
  captures: [],
  goneNodes: [],
  answers: [],
  goneKeys: [],
  awaited: [],
};

const PROXY: ReplicaUpdate['proxies'][number] = {
  id: 'ztunnel~10.0.0.1~agent.istio-system~istio-system.svc.cluster.local',
  kind: 'node-agent',
  name: 'node1',
  address: '10.0.0.1',
  connectedAtMs: 1_800_000_000_123,
  pod: 'istio-system/agent',
  node: 'node1',
  waypoint: undefined,
  subscriptions: [
    { type: 'Address', resources: 3, pending: 1, pendingSinceMs: 5, acknowledgedAtMs: 4 },
    { type: 'Authorization', resources: 0, pending: 0, error: 'bad rule' },
  ],
};

const FULL: ReplicaUpdate = {
  ...EMPTY,
  proxies: [PROXY, { ...PROXY, id: 'w', kind: 'waypoint', waypoint: 'shop/waypoint' }],
  goneProxies: ['x'],
  captures: [
    { node: 'node1', connectedAtMs: 7, uids: ['c//Pod/shop/a'], earlier: ['c//Pod/shop/b'] },
    { node: 'node2', connectedAtMs: undefined, uids: [], earlier: ['c//Pod/shop/c'] },
  ],
  goneNodes: ['node3'],
  answers: [
    {
      key: 'AuthorizationPolicy/shop/p',
      uid: 'u',
      generation: 7,
      waiting: 9,
      waitingNames: ['a', 'b'],
      refused: 1,
      refusals: ['c: bad rule'],
    },
  ],
  goneKeys: ['AuthorizationPolicy/shop/q'],
  awaited: ['c//Pod/shop/d'],
};

describe('replica updates', () => {
  it('are read as they were written', () => {
    for (const update of [EMPTY, FULL, { ...EMPTY, isComplete: false }]) {
      assert.deepEqual(decodeReplicaUpdate(encodeReplicaUpdate(update)), update);
    }
  });

  it('are cut by the sender where proxies can make them long', () => {
    const answer = FULL.answers[0];
    assert.ok(answer !== undefined);
    const long = 'x'.repeat(5_000);
    const [read, captured] = [
      decodeReplicaUpdate(
        encodeReplicaUpdate({
          ...FULL,
          proxies: [{ ...PROXY, id: long, name: long }],
          answers: [{ ...answer, waitingNames: Array<string>(50).fill(long), refusals: [long] }],
        }),
      ),
      decodeReplicaUpdate(
        encodeReplicaUpdate({
          ...EMPTY,
          captures: [
            {
              node: 'node1',
              connectedAtMs: 1,
              uids: [long, ...Array.from({ length: 3_000 }, (_, at) => `uid-${at}`)],
              earlier: [],
            },
          ],
        }),
      ).captures[0]?.uids,
    ];
    assert.equal(read.proxies[0]?.id.length, 512);
    assert.equal(read.answers[0]?.waitingNames.length, 5);
    assert.equal(read.answers[0]?.refusals[0]?.length, 300);
    assert.equal(captured?.length, 2_000);
    assert.equal(captured?.[0], 'uid-0', 'a uid that is none is left out, not cut');
  });

  it('are refused when they are over a bound or no update', () => {
    const wire = (fields: Parameters<typeof create<typeof ReplicaUpdateSchema>>[1]): Uint8Array =>
      toBinary(ReplicaUpdateSchema, create(ReplicaUpdateSchema, fields));
    const refused: readonly (readonly [string, Uint8Array, string])[] = [
      ['too many bytes', new Uint8Array(REPLICA_UPDATE_BYTES_MAX + 1), 'XDS_LIMIT'],
      ['no protobuf', Uint8Array.of(0xff, 0xff, 0xff), 'XDS_REQUEST_INVALID'],
      ['a long id', wire({ proxies: [{ id: 'x'.repeat(600) }] }), 'XDS_LIMIT'],
      ['a long uid', wire({ captures: [{ uids: ['x'.repeat(700)] }] }), 'XDS_LIMIT'],
      ['many uids', wire({ captures: [{ uids: Array<string>(2_001).fill('u') }] }), 'XDS_LIMIT'],
      [
        'many names',
        wire({ answers: [{ waitingNames: Array<string>(6).fill('u') }] }),
        'XDS_LIMIT',
      ],
      ['a huge generation', wire({ answers: [{ generation: 2n ** 60n }] }), 'XDS_REQUEST_INVALID'],
    ];
    for (const [what, bytes, code] of refused) {
      assert.throws(() => decodeReplicaUpdate(bytes), { code }, what);
    }
  });

  it('throws nothing but its own errors, whatever the bytes', () => {
    const good = encodeReplicaUpdate(FULL);
    const changed = fc
      .tuple(fc.nat(good.length - 1), fc.nat(255))
      .map(([at, byte]) => good.with(at, byte));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), changed), (bytes) => {
        try {
          decodeReplicaUpdate(bytes);
        } catch (error) {
          assert.ok(error instanceof XdsError);
        }
      }),
    );
  });
});
