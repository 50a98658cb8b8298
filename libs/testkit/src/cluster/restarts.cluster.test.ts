/**
 * Agents, controller and waypoints are replaced under load, one kind after the other, and an autoscaler scales a waypoint. No
 * request fails: neither one on a new connection, nor one on a connection that stays, directly or through a waypoint.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { kubectl } from './kubectl.ts';
import { LoadedMesh } from './load.ts';
import { AGENT, CONTROLLER, MeshCluster, SYSTEM } from './mesh-cluster.ts';
import type { Json } from './objects.ts';

let mesh: MeshCluster;
let load: LoadedMesh;

before(async () => {
  mesh = await MeshCluster.open();
  load = await LoadedMesh.open({ mesh });
});
after(async () => {
  // Of all waypoints of the cluster, and not in a namespace that goes.
  await kubectl(['-n', SYSTEM, 'delete', 'configmap', BOUNDS, '--ignore-not-found']);
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

const BOUNDS = 'ambit-test-bounds';
/** An autoscaler looks every 15 s, and pods have to start. */
const SCALED_MS_MAX = 90_000;

/**
 * Says for every waypoint of the class, also for one on demand, how many are to run. An autoscaler keeps to its bounds with or without
 * metrics.
 */
function scaledTo(replicas: number): Json {
  const labels = { 'gateway.istio.io/defaults-for-class': 'istio-waypoint' };
  const spec = { minReplicas: replicas, maxReplicas: replicas };
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: BOUNDS, namespace: SYSTEM, labels },
    data: { horizontalPodAutoscaler: JSON.stringify({ spec }) },
  };
}

async function scale(replicas: number): Promise<void> {
  await mesh.apply(scaledTo(replicas));
  await mesh.until(
    `there are ${replicas}`,
    async () => (await waypoint()).ready === replicas,
    SCALED_MS_MAX,
  );
  await settled('deployment/waypoint', load.way);
}

interface Managed {
  readonly metadata: {
    readonly name: string;
    readonly managedFields?: readonly {
      readonly manager: string;
      readonly operation: string;
      readonly fieldsV1?: { readonly 'f:spec'?: Readonly<Record<string, unknown>> };
    }[];
  };
  readonly status?: { readonly readyReplicas?: number };
}

/** How many are ready, who applies that number, and which autoscaler there is. */
async function waypoint() {
  const args = ['-n', load.way, 'get', '-o', 'json', '--show-managed-fields'];
  const of = async (kind: string): Promise<readonly Managed[]> =>
    (JSON.parse(await kubectl([...args, kind])) as { readonly items: readonly Managed[] }).items;
  const [deployment] = (await of('deployments')).filter(
    ({ metadata: { name } }) => name === 'waypoint',
  );
  const [scaler] = await of('horizontalpodautoscalers');
  const managers = deployment?.metadata.managedFields ?? [];
  return {
    ready: deployment?.status?.readyReplicas,
    appliedBy: managers
      .filter(({ operation }) => operation === 'Apply')
      .filter(({ fieldsV1 }) => fieldsV1?.['f:spec']?.['f:replicas'] !== undefined)
      .map(({ manager }) => manager),
    scaler: scaler?.metadata.name,
  };
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

  it('an autoscaler takes the waypoint to three and back to one', async () => {
    await load.underLoad(async () => {
      await scale(3);
      await scale(1);
    });
    const { appliedBy, scaler } = await waypoint();
    assert.deepEqual(
      appliedBy,
      [],
      'what applies the rest of the Deployment does not say how many',
    );
    assert.equal(scaler, 'waypoint');
  });
});
