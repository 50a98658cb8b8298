/**
 * Agents, controller and waypoints are replaced under load, one kind after the other, and no request fails: neither one on a
 * new connection, nor one on a connection that stays, nor one through a waypoint.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Caller, LoadReport } from '@ambit/lab/testing';
import { kubectl } from './kubectl.ts';
import { AGENT, CONTROLLER, MeshCluster, SYSTEM } from './mesh-cluster.ts';
import { deployment, ENROLLED, needsWaypoint, pod, service } from './objects.ts';

const EVERY_MS = 20;
const LOADS = ['direct', 'kept', 'waypoint'] as const;

let mesh: MeshCluster;
let plain: string;
let way: string;
let caller: Caller;

before(async () => {
  mesh = await MeshCluster.open();
  plain = await mesh.namespace('direct', ENROLLED);
  way = await mesh.namespace('way', ENROLLED);
  const [first, second] = mesh.nodes;
  await mesh.apply(
    needsWaypoint(way),
    ...[plain, way].flatMap((namespace) => [
      deployment(mesh.images, { name: 'web', namespace, program: 'go', node: second, replicas: 2 }),
      service({ name: 'web', namespace }),
    ]),
    pod(mesh.images, { name: 'client', namespace: plain, program: 'client', node: first }),
  );
  await Promise.all([mesh.ready(plain), mesh.ready(way)]);
  caller = mesh.caller(plain, 'client');
  for (const namespace of [plain, way]) {
    await mesh.until(`web of ${namespace} answers`, async () => {
      const { status } = await caller.http({ url: `http://web.${namespace}/` });
      return status === 200;
    });
  }
});
after(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

/** `cutsMax`: how many connections that stay may be cut at the end of a grace period. */
async function underLoad(change: () => Promise<void>, cutsMax = 0): Promise<void> {
  await caller.startLoad('direct', { url: `http://web.${plain}/` }, EVERY_MS);
  await caller.startLoad('kept', { url: `http://web.${plain}/`, reuse: true }, EVERY_MS);
  await caller.startLoad('waypoint', { url: `http://web.${way}/` }, EVERY_MS);
  const reports = new Map<string, LoadReport>();
  try {
    await change();
  } finally {
    for (const name of LOADS) {
      reports.set(name, await caller.stopLoad(name));
    }
  }
  for (const [name, { sent, ok, errors }] of reports) {
    const cuts = name === 'kept' ? (errors['ECONNRESET'] ?? 0) : 0;
    assert.ok(cuts <= cutsMax, `${name}: ${cuts} connections were cut`);
    assert.deepEqual(errors, cuts > 0 ? { ECONNRESET: cuts } : {}, `${name}: ${ok} of ${sent}`);
    assert.ok(sent > 20, `${name}: ${sent} requests`);
  }
}

async function restart(what: string, namespace = SYSTEM): Promise<void> {
  await kubectl(['-n', namespace, 'rollout', 'restart', what]);
  await mesh.rollout(what, namespace);
  // The old ones are gone too, with whatever they still carried.
  await mesh.until('only new pods are left', async () =>
    (await mesh.pods(namespace)).every(({ phase }) => phase !== 'Terminating'),
  );
}

describe('no request fails while', { timeout: 280_000 }, () => {
  it('the controller is replaced', async () => {
    await underLoad(async () => await restart(CONTROLLER));
  });

  it('the agents are replaced, and a connection that stays is kept', async () => {
    const [web] = await mesh.pods(plain, 'app=web');
    await caller.hold('held', web?.ip ?? '', 9080);
    await underLoad(async () => {
      await kubectl(['-n', SYSTEM, 'rollout', 'restart', AGENT]);
      await mesh.until('a new agent runs beside the old one', async () => {
        const pods = await mesh.pods(SYSTEM, 'app.kubernetes.io/name=ambit-node-agent');
        return pods.length > mesh.nodes.length;
      });
      assert.deepEqual(await caller.ping('held'), { ok: true });
      await mesh.rollout(AGENT);
      // Each end of a connection has an agent that takes its leave once.
    }, mesh.nodes.length);
  });

  it('the waypoint is replaced', async () => {
    await underLoad(async () => await restart('deployment/waypoint', way));
  });
});
