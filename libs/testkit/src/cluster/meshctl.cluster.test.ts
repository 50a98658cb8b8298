/** What people look at and reach for when something is wrong, on a mesh that runs: status, check, logs, proxy-config, bypass. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Caller } from '@ambit/lab/testing';
import { MeshCluster, SYSTEM } from './mesh-cluster.ts';
import { deployment, ENROLLED, pod, service } from './objects.ts';

let mesh: MeshCluster;
let namespace: string;
let caller: Caller;

before(async () => {
  mesh = await MeshCluster.open();
  namespace = await mesh.namespace('meshctl', ENROLLED);
  const [first, second] = mesh.nodes;
  await mesh.apply(
    deployment(mesh.images, { name: 'web', namespace, program: 'go', node: second, replicas: 1 }),
    service({ name: 'web', namespace }),
    pod(mesh.images, { name: 'client', namespace, program: 'client', node: first }),
  );
  await mesh.ready(namespace);
  caller = mesh.caller(namespace, 'client');
});
after(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

interface Status {
  readonly problems: readonly string[];
  readonly replicas: readonly { readonly isLeader: boolean }[];
  readonly proxies: readonly { readonly kind: string; readonly name: string }[];
  readonly versions: readonly { readonly name: string; readonly version: string }[];
  readonly namespaces: readonly {
    readonly namespace: string;
    readonly pods: number;
    readonly captured: number;
    readonly bypassed?: string;
  }[];
}

/** Problems of other scenarios' namespaces are theirs. */
async function status(): Promise<Status> {
  const { stdout, stderr } = await mesh.meshctl('status', '-o', 'json');
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout) as Status;
}

async function call(): Promise<number> {
  return (await caller.http({ url: `http://web.${namespace}/` })).status;
}

async function json<T>(...args: readonly string[]): Promise<readonly T[]> {
  const { stdout, stderr, code } = await mesh.meshctl(...args, '-o', 'json');
  assert.equal(code, 0, stderr);
  return (JSON.parse(stdout) as { readonly items: readonly T[] }).items;
}

describe('meshctl on a mesh that runs', { timeout: 180_000 }, () => {
  it('shows it on one screen: who leads, every agent and its version, the pods that are captured', async () => {
    await mesh.until('the pods are captured', async () => {
      const own = (await status()).namespaces.find((one) => one.namespace === namespace);
      return own?.pods === 2 && own.captured === 2;
    });
    const { proxies, replicas, versions } = await status();
    assert.equal(replicas.filter(({ isLeader }) => isLeader).length, 1);
    for (const node of mesh.nodes) {
      assert.ok(
        proxies.some(({ kind, name }) => kind === 'node-agent' && name === node),
        node,
      );
      // What the agent says: the tag of its image is none.
      const said = versions.find(({ name }) => name === node);
      assert.match(said?.version ?? '', /^\d+\.\d+\.\d+$/);
    }
  });

  it('checks what agents see: other nodes are reached, the plugin is in place', async () => {
    const { stdout } = await mesh.meshctl('check', '-o', 'json');
    const { checks } = JSON.parse(stdout) as {
      readonly checks: readonly {
        readonly id: string;
        readonly result: string;
        readonly reason?: string;
      }[];
    };
    for (const id of [
      'agents-answer',
      'agents-connected',
      'cni-order',
      'hbone-reachable',
      'captures',
      'mtu',
      'node-clocks',
    ]) {
      const found = checks.find((one) => one.id === id);
      assert.equal(found?.result, 'ok', `${id}: ${found?.reason ?? ''}`);
    }
  });

  it('reads agents by the pod that they serve', async () => {
    const [first] = mesh.nodes;
    const workloads = await json<{ namespace: string; protocol: string }>(
      'pc',
      'workloads',
      `client.${namespace}`,
    );
    const own = workloads.filter((one) => one.namespace === namespace);
    assert.deepEqual(
      own.map(({ protocol }) => protocol),
      ['HBONE', 'HBONE'],
    );
    const certificates = await json<{ proxy: string; identity: string }>(
      'zc',
      'certificates',
      '--node',
      first,
    );
    assert.ok(certificates.some(({ identity }) => identity.includes(`/ns/${namespace}/`)));
    assert.ok(certificates.every(({ proxy }) => proxy === first));
  });

  it('finds a refusal in the logs of all agents', async () => {
    await mesh.apply({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: 'nobody', namespace },
      spec: {},
    });
    await mesh.until('calls are refused', async () => (await call()) !== 200);
    const { stdout } = await mesh.meshctl('logs', 'agent', '--refused', '--since', '1m');
    assert.match(stdout, new RegExp(`/ns/${namespace}/.* → .*web\\.${namespace}\\.`));
  });

  it('breaks the glass, shows it, and the mesh is back by itself', async () => {
    assert.notEqual(await call(), 200, 'the policy of before holds');
    const begun = await mesh.meshctl('bypass', namespace, '--for', '15s', '--reason', 'a test');
    assert.equal(begun.code, 0, begun.stderr);
    await mesh.until('calls pass', async () => (await call()) === 200);
    const { namespaces, problems } = await status();
    assert.match(namespaces.find((one) => one.namespace === namespace)?.bypassed ?? '', /a test/);
    assert.ok(problems.some((problem) => problem.startsWith(`namespace ${namespace} is bypassed`)));
    await mesh.until('the policy holds again', async () => (await call()) !== 200);
    const own = (await status()).namespaces.find((one) => one.namespace === namespace);
    assert.equal(own?.bypassed, undefined);
  });

  it('says of another namespace that nothing is installed there', async () => {
    const { code, stderr } = await mesh.meshctl('status', '-i', 'default');
    assert.equal(code, 69);
    assert.match(stderr, /no controller is ready in namespace default/);
    assert.doesNotMatch(stderr, new RegExp(SYSTEM));
  });
});
