import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openTestCluster, type TestCluster } from '@ambit/kube/testing';
import { runMeshctl } from '../testing.ts';
import { gvr } from './cluster.ts';

const NAMESPACES = gvr('v1', 'namespaces');
const PODS = gvr('v1', 'pods');
const POLICIES = gvr('networking.k8s.io/v1', 'networkpolicies');

let cluster: TestCluster;
let namespace: string;

before(async () => {
  cluster = await openTestCluster('check');
  namespace = await cluster.namespace();
});

after(async () => {
  await cluster[Symbol.asyncDispose]();
});

async function meshctl(...args: readonly string[]) {
  return await runMeshctl([...args, '--kubeconfig', cluster.kubeconfigPath], {});
}

interface Results {
  readonly success: boolean;
  readonly checks: readonly {
    readonly id: string;
    readonly result: string;
    readonly reason?: string;
  }[];
}

async function check(
  ...args: readonly string[]
): Promise<{ code: number | null; results: Results }> {
  const { code, stdout } = await meshctl('check', ...args, '-o', 'json');
  return { code, results: JSON.parse(stdout) as Results };
}

describe('meshctl check against an API server', () => {
  it('passes one that Ambit can be installed into', async () => {
    const { code, results } = await check('--pre');
    assert.equal(code, 0);
    assert.equal(results.success, true);
    assert.equal(results.checks.find(({ id }) => id === 'may-install')?.result, 'ok');
  });

  it('says that nothing is installed', async () => {
    const { code, results } = await check('-n', namespace);
    assert.equal(code, 1);
    assert.deepEqual(results.checks.at(-1)?.id, 'installed');
  });

  it('finds agents that are missing', async () => {
    await meshctl('install', '-y', '--no-wait', '-n', namespace);
    const { code, results } = await check('-n', namespace);
    assert.equal(code, 1);
    const wrong = results.checks.filter(({ result }) => result === 'error').map(({ id }) => id);
    // Versions are what controllers say, and none is there to ask.
    const unasked = ['controller-versions', 'meshctl-version', 'proxy-versions'];
    const missing = ['controller-ready', 'controller-endpoints', 'root-certificate'];
    assert.deepEqual(wrong, [...missing, ...unasked]);
    const removed = await meshctl('uninstall', '-y', '-n', namespace, '--purge', '--force');
    assert.equal(removed.code, 0, removed.stderr);
  });

  it('answers 69 when the API server does not', async () => {
    const { code, stderr } = await runMeshctl(['check', '--kubeconfig', '/nonexistent/config'], {});
    assert.equal(code, 69);
    assert.match(stderr, /no cluster to work on/);
  });

  it('refuses a context that is not there', async () => {
    const { code, stderr } = await meshctl('check', '--context', 'nowhere');
    assert.equal(code, 69);
    assert.match(stderr, /nowhere/);
  });
});

describe('meshctl enroll against an API server', () => {
  const mode = async (): Promise<string | undefined> =>
    (await cluster.client.get(NAMESPACES, { name: namespace })).metadata.labels?.[
      'istio.io/dataplane-mode'
    ];

  it('says what would happen, and changes nothing with --dry-run', async () => {
    const containers = [{ name: 'istio-proxy', image: 'x' }];
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'old', namespace },
      spec: { containers },
    };
    await cluster.client.create(gvr('v1', 'serviceaccounts'), {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'own', namespace },
    });
    await cluster.client.create(PODS, { ...pod, spec: { containers, serviceAccountName: 'own' } });
    const { code, stdout } = await meshctl('enroll', namespace, '--dry-run');
    assert.equal(code, 0);
    assert.match(
      stdout,
      /old +none: it has a sidecar of Istio; restart it without\nNothing was changed/,
    );
    assert.equal(await mode(), undefined);
  });

  it('sets the label, once', async () => {
    assert.match((await meshctl('enroll', namespace)).stdout, /✔ namespace .* is enrolled/);
    assert.equal(await mode(), 'ambient');
    assert.match((await meshctl('enroll', namespace)).stdout, /is enrolled already/);
  });

  it('lets check find the sidecar and the policy that closes the tunnel', async () => {
    await cluster.client.create(POLICIES, {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'closed', namespace },
      spec: { podSelector: {}, policyTypes: ['Ingress'], ingress: [{ ports: [{ port: 80 }] }] },
    });
    const { results } = await check('--pre');
    const reasonOf = (wanted: string) =>
      results.checks.find(({ id }) => id === wanted)?.reason ?? '';
    assert.ok(reasonOf('sidecars').includes(`${namespace}/old`));
    assert.ok(reasonOf('network-policies').includes(`${namespace}/closed`));
  });

  it('takes the label off', async () => {
    assert.equal((await meshctl('unenroll', namespace)).code, 0);
    assert.equal(await mode(), undefined);
  });

  for (const [name, said] of [
    ['kube-system', /the cluster itself lives there/],
    ['no-such-namespace', /there is no namespace "no-such-namespace"/],
  ] as const) {
    it(`refuses ${name}`, async () => {
      const { code, stderr } = await meshctl('enroll', name);
      assert.equal(code, 1);
      assert.match(stderr, said);
    });
  }
});
