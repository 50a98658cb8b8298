/** A policy whose newer version can not be read, from the bytes of the controller to a connection of a pod. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type CompiledPolicy, EMPTY_L4 } from '@ambit/policy';
import { encodeAuthorization, type Rejection, TYPE_URL } from '@ambit/xds';

import { policy, workload } from '../worker/testing/fixtures.ts';
import { WorkerRig } from '../worker/testing/worker-rig.ts';
import { subscriptionsOf } from './controller-link.ts';
import { MeshState } from './mesh-state.ts';

/** Field 15 of a match, a varint: a condition of the future. */
const UNKNOWN_CONDITION = [42, 6, 10, 4, 18, 2, 0x78, 1];
const NAME = 'shop/lock';

/** A client, a server that echoes and names the policy, another server beside it; controller's words go in by `push`. */
async function mesh(rig: WorkerRig) {
  const state = new MeshState({
    network: '',
    fanOut: ({ authorizations: { changed, removed } }) => {
      rig.resources({ policies: changed, removedPolicies: removed });
      return Promise.resolve([]);
    },
    onEnrolments: () => undefined,
  });
  const found = subscriptionsOf(state, () => undefined).find(
    ({ typeUrl }) => typeUrl === TYPE_URL.authorization,
  );
  assert.ok(found);
  rig.workloads(
    workload('client', { addresses: [rig.address(1)] }),
    workload('server', { addresses: [rig.address(2)], authorizationPolicies: [NAME] }),
    workload('beside', { addresses: [rig.address(3)] }),
  );
  for (const name of ['client', 'server', 'beside']) rig.certify(name);
  await Promise.all([rig.addPod(1, 'client'), rig.addPod(2, 'server'), rig.addPod(3, 'beside')]);
  const ports = await Promise.all(
    [2, 3].map((pod) => rig.serve(pod, (socket) => socket.end('ok'))),
  );
  return {
    push: async (value: Uint8Array): Promise<readonly Rejection[]> =>
      await found.apply({ changed: [{ name: NAME, version: '1', value }], removed: [] }),
    reach: async (pod: 2 | 3): Promise<string> => {
      const client = await rig.connect(1, { address: rig.address(pod), port: ports[pod - 2] ?? 0 });
      client.conn.end();
      await client.closed;
      return client.text;
    },
  };
}

const readable = (scope: CompiledPolicy['scope'], action: 'ALLOW' | 'DENY'): Uint8Array => {
  const principals = [{ kind: 'suffix', value: '/sa/client' }] as const;
  return encodeAuthorization(policy('lock', action, { ...EMPTY_L4, principals }, { scope }));
};

describe('a policy whose newer version can not be read', () => {
  it('refuses at the pod that names it, and nowhere else, until it can be read', async () => {
    await using rig = new WorkerRig();
    const { push, reach } = await mesh(rig);
    assert.deepEqual(await push(readable('WORKLOAD_SELECTOR', 'ALLOW')), []);
    assert.equal(await reach(2), 'ok');
    const newer = Buffer.concat([
      readable('WORKLOAD_SELECTOR', 'ALLOW'),
      Uint8Array.from(UNKNOWN_CONDITION),
    ]);
    const [rejection] = await push(newer);
    assert.equal(rejection?.name, NAME);
    assert.match(rejection?.reason ?? '', /unknown field 15 of istio\.security\.Match/);
    assert.equal(await reach(2), '');
    const line = rig.lines.find((one) => one['direction'] === 'inbound' && one['error']);
    assert.match(String(line?.['error']), /shop\/lock/);
    assert.equal(await reach(3), 'ok', 'the pod beside it');
    assert.deepEqual(await push(readable('WORKLOAD_SELECTOR', 'ALLOW')), []);
    assert.equal(await reach(2), 'ok');
  });

  it('refuses in the namespace of the newer version, wider than what was held', async () => {
    await using rig = new WorkerRig();
    const { push, reach } = await mesh(rig);
    await push(readable('WORKLOAD_SELECTOR', 'DENY'));
    assert.deepEqual([await reach(2), await reach(3)], ['', 'ok']);
    const newer = [readable('NAMESPACE', 'DENY'), Uint8Array.from(UNKNOWN_CONDITION)];
    assert.equal((await push(Buffer.concat(newer))).length, 1);
    assert.deepEqual([await reach(2), await reach(3)], ['', '']);
    await push(readable('WORKLOAD_SELECTOR', 'DENY'));
    assert.deepEqual([await reach(2), await reach(3)], ['', 'ok']);
  });

  it('refuses what the older version denied, also where the newer one would apply to less', async () => {
    await using rig = new WorkerRig();
    const { push, reach } = await mesh(rig);
    await push(readable('NAMESPACE', 'DENY'));
    assert.deepEqual([await reach(2), await reach(3)], ['', '']);
    const newer = [readable('WORKLOAD_SELECTOR', 'ALLOW'), Uint8Array.from(UNKNOWN_CONDITION)];
    assert.equal((await push(Buffer.concat(newer))).length, 1);
    assert.deepEqual([await reach(2), await reach(3)], ['', '']);
  });
});
