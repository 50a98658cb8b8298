/**
 * One of two controllers is killed under load, first the one that leads: no request fails, and the other goes on at once with
 * everything but what only the leader writes, which it does when the lease has run out.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { kubectl } from './kubectl.ts';
import { LoadedMesh } from './load.ts';
import { CONTROLLER, MeshCluster, type PodFacts, SYSTEM } from './mesh-cluster.ts';
import { type Json, pod } from './objects.ts';

/** The lease of fifteen seconds, the election, and two cores for everybody. */
const ENFORCED_MS_MAX = 60_000;
const ECHO_PORT = 9080;

let mesh: MeshCluster;
let load: LoadedMesh;

before(async () => {
  mesh = await MeshCluster.open({ 'controller.replicas': '2' });
  await mesh.rollout(CONTROLLER);
  load = await LoadedMesh.open({ mesh });
});
after(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

async function controllers(): Promise<{ readonly leader: PodFacts; readonly other: PodFacts }> {
  const lease = ['-n', SYSTEM, 'get', 'lease', 'ambit-controller', '-o'];
  const holder = await kubectl([...lease, 'jsonpath={.spec.holderIdentity}']);
  const pods = await mesh.pods(SYSTEM, 'app.kubernetes.io/name=ambit-controller');
  const leader = pods.find(({ name }) => holder.startsWith(`${name}_`));
  const other = pods.find(({ name }) => !holder.startsWith(`${name}_`));
  assert.ok(leader !== undefined && other !== undefined, `two of them, led by "${holder}"`);
  return { leader, other };
}

/** Every process of the pod at once, as no signal handler hears of it. */
async function kill({ node, uid }: PodFacts): Promise<void> {
  const group = uid.replaceAll('-', '[-_]');
  const script = `for p in /proc/[0-9]*; do grep -q '${group}' $p/cgroup 2>/dev/null && kill -9 \${p#/proc/}; done; true`;
  await mesh.onNode(node, 'sh', '-c', script);
}

function denial(name: string, namespace: string, operation: Json): Json {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace },
    spec: { action: 'DENY', rules: [{ to: [{ operation }] }] },
  };
}

/** Denies `path` at the waypoint and, or no longer, the echo port at the agents; each has to hold, and to say that it does. */
async function change(path: string, isEchoDenied: boolean): Promise<void> {
  const { plain, way, caller } = load;
  const ports = [isEchoDenied ? String(ECHO_PORT) : '1'];
  await mesh.apply(denial('paths', way, { paths: [path] }), denial('ports', plain, { ports }));
  const [web] = await mesh.pods(plain, 'app=web');
  await mesh.until(`the waypoint denies ${path}`, async () => {
    const { status } = await caller.http({ url: `http://web.${way}${path}` });
    return status === 403;
  });
  await mesh.until(`agents ${isEchoDenied ? 'deny' : 'allow'} ${ECHO_PORT}`, async () => {
    const call = { host: web?.ip ?? '', port: ECHO_PORT, send: 'x' };
    return ((await caller.tcp(call)).received === 'x') !== isEchoDenied;
  });
}

async function isEnforced(name: string, namespace: string): Promise<void> {
  await mesh.until(
    `${name} is enforced as it is now`,
    async () => {
      const get = [
        '-n',
        namespace,
        'get',
        'authorizationpolicies.security.istio.io',
        name,
        '-o',
        'json',
      ];
      const { metadata, status } = JSON.parse(await kubectl(get)) as PolicyObject;
      const enforced = status?.conditions?.find(({ type }) => type === 'Enforced');
      return enforced?.status === 'True' && enforced.observedGeneration === metadata.generation;
    },
    ENFORCED_MS_MAX,
  );
}

interface PolicyObject {
  readonly metadata: { readonly generation: number };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly observedGeneration?: number;
    }[];
  };
}

/** A pod of an account that nobody had: it starts, and its server is told who calls. */
async function startsNew(name: string): Promise<void> {
  const { plain, way } = load;
  const account = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace: plain },
  };
  const spec = { serviceAccountName: name };
  const options = { name, namespace: plain, program: 'client', node: mesh.nodes[1], spec } as const;
  await mesh.apply(account, pod(mesh.images, options));
  await mesh.ready(plain, `app=${name}`);
  const caller = mesh.caller(plain, name);
  await mesh.until(`${name} is known by its account`, async () => {
    const { headers } = await caller.echo(`http://web.${way}/`);
    return headers['x-forwarded-client-cert']?.includes(`/ns/${plain}/sa/${name}`) === true;
  });
}

describe('no request fails, and changes hold, while', { timeout: 200_000 }, () => {
  it('the controller that leads is killed and its pod deleted', async () => {
    const { leader } = await controllers();
    await load.underLoad(async () => {
      await kill(leader);
      const now = ['--grace-period=0', '--force', '--wait=false'];
      await kubectl(['-n', SYSTEM, 'delete', 'pod', leader.name, ...now]);
      await Promise.all([change('/first', true), startsNew('late-1')]);
      await Promise.all([isEnforced('paths', load.way), isEnforced('ports', load.plain)]);
    });
    const { leader: next } = await controllers();
    assert.notEqual(next.name, leader.name);
  });

  it('the other one is killed', async () => {
    await mesh.rollout(CONTROLLER);
    const { leader, other } = await controllers();
    await load.underLoad(async () => {
      await kill(other);
      await Promise.all([change('/second', false), startsNew('late-2')]);
      await Promise.all([isEnforced('paths', load.way), isEnforced('ports', load.plain)]);
    });
    assert.equal((await controllers()).leader.name, leader.name);
  });
});
