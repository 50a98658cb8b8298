/**
 * The agents' rollout under as much load as a node of two cores takes: requests on new connections, on ones that stay and through
 * a waypoint, and connections that only stay, which the old agents keep to the end of their grace period.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Complaints } from './complaints.ts';
import { GoLoad, type GoReport } from './go-load.ts';
import { kubectl } from './kubectl.ts';
import { LoadedMesh } from './load.ts';
import { AGENT, MeshCluster, SYSTEM } from './mesh-cluster.ts';
import { pod } from './objects.ts';

/** Requests a second of all loads: 40 % on new connections, 40 % on ones that stay, 20 % through the waypoint. */
const RATE = 500;
/** Connections that stay. */
const HELD = 36;
/** An agent takes its leave a second before it has to be gone; times of Kubernetes are whole seconds. */
const LEAVE_MS = 2_500;

let mesh: MeshCluster;
let load: LoadedMesh;

before(async () => {
  mesh = await MeshCluster.open();
  load = await LoadedMesh.open({ mesh });
  const [node] = mesh.nodes;
  await mesh.apply(pod(mesh.images, { name: 'rush', namespace: load.plain, program: 'go', node }));
  await mesh.ready(load.plain, 'app=rush');
});
after(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

interface AgentPod {
  readonly metadata: { readonly deletionTimestamp?: string };
}

/** When agents that were told to end have to be gone, in milliseconds since 1970. */
async function endsOfAgents(): Promise<readonly number[]> {
  const args = ['get', 'pods', '-l', 'app.kubernetes.io/name=ambit-node-agent', '-o', 'json'];
  const { items } = JSON.parse(await kubectl(['-n', SYSTEM, ...args])) as {
    readonly items: readonly AgentPod[];
  };
  return items.flatMap(({ metadata: { deletionTimestamp } }) =>
    deletionTimestamp === undefined ? [] : [Date.parse(deletionTimestamp)],
  );
}

/** When the first of the old agents had to be gone. */
async function replaceAgents(complaints: Complaints): Promise<number> {
  complaints.follow();
  await kubectl(['-n', SYSTEM, 'rollout', 'restart', AGENT]);
  let first = 0;
  await mesh.until('an old agent is told to end', async () => {
    const ends = await endsOfAgents();
    first = Math.min(...ends);
    return ends.length > 0;
  });
  complaints.follow();
  await mesh.rollout(AGENT);
  await mesh.until('only new agents are left', async () => (await endsOfAgents()).length === 0);
  return first;
}

describe('agents are replaced', { timeout: 180_000 }, () => {
  it('without a failed request, and what stays is kept to the end of the grace period', async (t) => {
    const { plain, way } = load;
    const [web] = await mesh.pods(plain, 'app=web');
    await using rush = await GoLoad.start(
      plain,
      'rush',
      `new:${RATE * 0.4}:http://web.${plain}/`,
      `kept:${RATE * 0.4}:http://web.${plain}/`,
      `new:${RATE * 0.2}:http://web.${way}/`,
      `hold:${HELD}:${web?.ip}:9080`,
    );
    using complaints = new Complaints();
    const startedAt = performance.now();
    const leaveAt = await replaceAgents(complaints);
    const seconds = (performance.now() - startedAt) / 1_000;
    const reports = await rush.stop();
    for (const report of reports) t.diagnostic(JSON.stringify(report));
    for (const { load: name, sent, ok, errors, failedAt } of reports) {
      const when = failedAt.map((at) => at - leaveAt).join(' ');
      assert.deepEqual(
        errors,
        {},
        `${name}: ${ok} of ${sent}; failed at ${when} ms from when the first agent had to go; ${complaints}`,
      );
    }
    const rate = requestsOf(reports) / seconds;
    // The load is open: a client that is kept waiting by the machine sends later what it owes.
    assert.ok(rate > RATE / 2, `${rate.toFixed()} requests a second`);
    const cuts = reports.flatMap((report) => report.cuts);
    assert.equal(cuts.length, HELD, 'both ends have lost their agent');
    const early = leaveAt - Math.min(...cuts);
    assert.ok(early < LEAVE_MS, `a connection was cut ${early} ms before its agent had to go`);
  });
});

function requestsOf(reports: readonly GoReport[]): number {
  const requests = reports.filter(({ load: name }) => !name.startsWith('hold:'));
  return requests.reduce((sum, { sent }) => sum + sent, 0);
}
