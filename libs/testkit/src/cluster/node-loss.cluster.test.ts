/**
 * A node is lost, once without a word and once after a drain. The client's own node, an instance of the waypoint and an endpoint
 * stay. What begins after the loss may be slow and does not fail; what was under way on the lost node fails and does not hang. Only
 * a POST that a waypoint had already written to the lost node, before anybody could know, fails as well: nobody may send it twice.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import type { Caller, LoadReport } from '@ambit/lab/testing';
import { kubectl } from './kubectl.ts';
import { reportsOf, requireNoFailure } from './load.ts';
import { CONTROLLER, MeshCluster } from './mesh-cluster.ts';
import { powerOff, powerOn, requirePower } from './node-power.ts';
import { deployment, ENROLLED, type Json, needsWaypoint, pod, service } from './objects.ts';

/** The keepalive of tunnels ends what a peer has left open after 30 s. */
const PATIENT_MS = 60_000;
/** Longer than it takes to turn away from who is gone, and to try again. */
const GONE_MS = 16_000;
/** Of a node that nobody used any more. */
const EMPTY_MS = 5_000;
/** Of one request in 20 ms those on the lost node at one moment: one or two, and some more on a machine that is slow. */
const UNDER_WAY_MAX = 5;
/** Until an endpoint that does not answer is asked last, and a second for a busy machine. */
const UNNOTICED_MS = 2_000;
const BACK_MS_MAX = 120_000;
const WARM_UP = 40;

let mesh: MeshCluster;
let plain: string;
let way: string;
let caller: Caller;

/** On both nodes; a pod that is told to go serves until everybody has heard. */
function web(namespace: string) {
  const spec = {
    terminationGracePeriodSeconds: 15,
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { app: 'web' } },
      },
    ],
  };
  const container = { lifecycle: { preStop: { sleep: { seconds: 5 } } } };
  const options = { name: 'web', namespace, program: 'go', replicas: 2, spec, container } as const;
  return [deployment(mesh.images, options), service({ name: 'web', namespace })];
}

/** Beside those who may read. */
function writers(namespace: string): Json {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'writers', namespace },
    spec: { action: 'ALLOW', rules: [{ to: [{ operation: { methods: ['POST'] } }] }] },
  };
}

async function answers(namespace: string): Promise<void> {
  await mesh.until(`web of ${namespace} answers`, async () => {
    return (await caller.http({ url: `http://web.${namespace}/` })).status === 200;
  });
}

before(async () => {
  requirePower();
  mesh = await MeshCluster.open({ 'controller.replicas': '2' });
  plain = await mesh.namespace('direct', ENROLLED);
  way = await mesh.namespace('way', ENROLLED);
  await mesh.apply(needsWaypoint(way), writers(way), ...[plain, way].flatMap(web));
  const [first] = mesh.nodes;
  await mesh.apply(
    pod(mesh.images, { name: 'client', namespace: plain, program: 'client', node: first }),
  );
  await mesh.until('there is a waypoint', async () => {
    await kubectl(['-n', way, 'scale', 'deployment/waypoint', '--replicas=2']);
    return true;
  });
  await Promise.all([
    ...[plain, way].map(async (namespace) => await mesh.ready(namespace)),
    mesh.rollout('deployment/waypoint', way),
    mesh.rollout(CONTROLLER),
  ]);
  caller = mesh.caller(plain, 'client');
  await Promise.all([answers(plain), answers(way)]);
});
after(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

async function nodesOf(namespace: string, selector: string): Promise<readonly string[]> {
  const pods = await mesh.pods(namespace, selector);
  return pods.filter(({ phase }) => phase === 'Running').map(({ node }) => node);
}

const WAYPOINT = 'gateway.networking.k8s.io/gateway-name';

async function isSpread(): Promise<void> {
  for (const [namespace, selector] of [
    [plain, 'app=web'],
    [way, 'app=web'],
    [way, WAYPOINT],
  ] as const) {
    const nodes = await nodesOf(namespace, selector);
    assert.deepEqual([...nodes].sort(), [...mesh.nodes].sort(), `${selector} of ${namespace}`);
  }
}

/** Requests on new connections, without and with a waypoint. */
const requests = () => ({
  direct: { url: `http://web.${plain}/`, timeoutMs: PATIENT_MS },
  waypoint: { url: `http://web.${way}/`, timeoutMs: PATIENT_MS },
});

interface PodOfNode {
  readonly metadata: { readonly uid: string };
  readonly status: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly restartCount: number }[];
  };
}

/** How often the containers of each pod have been started again, by uid, and whether all are ready. */
async function podsOn(node: string) {
  const args = ['get', 'pods', '-A', `--field-selector=spec.nodeName=${node}`, '-o', 'json'];
  const { items } = JSON.parse(await kubectl(args)) as { readonly items: readonly PodOfNode[] };
  const restarts = new Map<string, number>();
  let areReady = true;
  for (const { metadata, status } of items) {
    const counts = (status.containerStatuses ?? []).map(({ restartCount }) => restartCount);
    restarts.set(metadata.uid, Math.max(0, ...counts));
    areReady &&=
      status.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true;
  }
  return { restarts, areReady };
}

/** Gives the node its power back. Until its kubelet has said otherwise the API calls pods ready that do not run. */
async function bringBack(node: string): Promise<void> {
  const before = await podsOn(node);
  await powerOn(node);
  await mesh.until(
    'the node is back, and every pod of it',
    async () => {
      const { restarts, areReady } = await podsOn(node);
      const isAgain = ([uid, count]: [string, number]): boolean =>
        count > (before.restarts.get(uid) ?? -1);
      return areReady && [...restarts].every(isAgain);
    },
    BACK_MS_MAX,
  );
}

/** A change holds everywhere, and a pod that starts on the node is served by it. */
async function serves(node: string, path: string): Promise<void> {
  const name = `late-${path.slice(1)}`;
  await mesh.apply(
    {
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: 'paths', namespace: way },
      spec: { action: 'DENY', rules: [{ to: [{ operation: { paths: [path] } }] }] },
    },
    pod(mesh.images, { name, namespace: plain, program: 'client', node }),
  );
  await mesh.ready(plain, `app=${name}`);
  const late = mesh.caller(plain, name);
  await mesh.until(`${path} is denied to a pod of ${node}`, async () => {
    return (await late.http({ url: `http://web.${way}${path}` })).status === 403;
  });
  assert.equal((await late.http({ url: `http://web.${plain}/` })).status, 200);
  const what = 'authorizationpolicies.security.istio.io/paths';
  await kubectl(['-n', way, 'wait', what, '--for=condition=Enforced', '--timeout=60s']);
}

/** Which, and when they began: those of `load` that failed while the node went at `cutAtMs`. */
function failuresOf({ failures, sent, errors }: LoadReport, cutAtMs: number) {
  const count = Object.values(errors).reduce((sum, one) => sum + one, 0);
  const begunMs = failures.map(({ begunAtMs }) => begunAtMs - cutAtMs);
  const each = failures.map(
    ({ tookMs, error }, i) => `at ${begunMs[i]} ms, after ${tookMs} ms: ${error}`,
  );
  return { count, begunMs, text: `${count} of ${sent} failed\n${each.join('\n')}` };
}

describe('a node that is lost', { timeout: 280_000 }, () => {
  it('fails no request that begins after it, and comes back', async (t) => {
    const [, lost] = mesh.nodes;
    await isSpread();
    for (const { url } of Object.values(requests())) {
      // Tunnels to everybody stand, which nobody will close.
      await caller.many({ url }, WARM_UP);
    }
    const across = {
      ...requests(),
      written: { ...requests().waypoint, method: 'POST', body: 'x' },
    };
    let cutAtMs = 0;
    const during = await reportsOf(caller, across, async () => {
      cutAtMs = await powerOff(mesh, lost);
      const later = await reportsOf(caller, requests(), async () => {
        await systemClock.sleep(GONE_MS);
        await bringBack(lost);
      });
      requireNoFailure(later);
    });
    for (const [name, report] of during) {
      const { count, begunMs, text } = failuresOf(report, cutAtMs);
      t.diagnostic(`${name}: ${text}`);
      assert.equal(report.errors['TIMEOUT'], undefined, 'nothing hangs');
      const isLate = begunMs.some((ms) => ms > UNNOTICED_MS);
      assert.ok(!isLate, `${name}: one began when everybody knew\n${text}`);
      const isFew = name === 'written' || count <= UNDER_WAY_MAX;
      assert.ok(isFew, `${name}: not only what was under way\n${text}`);
    }
    await serves(lost, '/lost');
  });

  it('fails none at all when it was drained before', async () => {
    const [, lost] = mesh.nodes;
    await isSpread();
    const kept = { kept: { url: `http://web.${way}/`, reuse: true, timeoutMs: PATIENT_MS } };
    const reports = await reportsOf(caller, { ...requests(), ...kept }, async () => {
      const drain = ['drain', lost, '--ignore-daemonsets', '--delete-emptydir-data', '--force'];
      await kubectl([...drain, '--timeout=90s']);
      await powerOff(mesh, lost);
      await systemClock.sleep(EMPTY_MS);
      await bringBack(lost);
      await kubectl(['uncordon', lost]);
    });
    requireNoFailure(reports);
    await serves(lost, '/drained');
  });
});
