/**
 * Agents, controller and waypoints are replaced under load, one kind after the other, and a waypoint is scaled. No request fails:
 * neither one on a new connection, nor one on a connection that stays, directly or through a waypoint.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { kubectl } from './kubectl.ts';
import { LoadedMesh } from './load.ts';
import { AGENT, CONTROLLER, MeshCluster, SYSTEM } from './mesh-cluster.ts';

let mesh: MeshCluster;
let load: LoadedMesh;

before(async () => {
  mesh = await MeshCluster.open();
  load = await LoadedMesh.open({ mesh });
});
after(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

async function restart(what: string, namespace = SYSTEM): Promise<void> {
  await kubectl(['-n', namespace, 'rollout', 'restart', what]);
  await settled(what, namespace);
}

async function settled(what: string, namespace: string): Promise<void> {
  await mesh.rollout(what, namespace);
  // The old ones are gone too, with whatever they still carried.
  await mesh.until('only new pods are left', async () =>
    (await mesh.pods(namespace)).every(({ phase }) => phase !== 'Terminating'),
  );
}

describe('no request fails while', { timeout: 280_000 }, () => {
  it('the controller is replaced', async () => {
    await load.underLoad(async () => await restart(CONTROLLER));
  });

  it('the agents are replaced, and a connection that stays is kept', async () => {
    const { caller, plain } = load;
    const [web] = await mesh.pods(plain, 'app=web');
    await caller.hold('held', web?.ip ?? '', 9080);
    const replace = async (): Promise<void> => {
      await kubectl(['-n', SYSTEM, 'rollout', 'restart', AGENT]);
      await mesh.until('a new agent runs beside the old one', async () => {
        const pods = await mesh.pods(SYSTEM, 'app.kubernetes.io/name=ambit-node-agent');
        return pods.length > mesh.nodes.length;
      });
      assert.deepEqual(await caller.ping('held'), { ok: true });
      await mesh.rollout(AGENT);
    };
    // Each end of a connection has an agent that takes its leave once.
    await load.underLoad(replace, { cutsMax: mesh.nodes.length });
  });

  it('the waypoint is replaced', async () => {
    await load.underLoad(async () => await restart('deployment/waypoint', load.way));
  });

  it('the waypoint is scaled to three and back to one', async () => {
    const waypoint = 'deployment/waypoint';
    await load.underLoad(async () => {
      for (const replicas of [3, 1]) {
        await kubectl(['-n', load.way, 'scale', waypoint, `--replicas=${replicas}`]);
        await settled(waypoint, load.way);
      }
    });
  });
});
