import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CRD_OWNER_LABEL } from '@ambit/api';
import type { KubeObject } from '@ambit/kube';
import { openTestCluster, type TestCluster } from '@ambit/kube/testing';
import { runMeshctl } from '../testing.ts';
import { gvr } from './cluster.ts';

const NAMESPACE = 'ambit-install-test';
const DEPLOYMENTS = gvr('apps/v1', 'deployments');
const DAEMON_SETS = gvr('apps/v1', 'daemonsets');
const NAMESPACES = gvr('v1', 'namespaces');
const CONFIG_MAPS = gvr('v1', 'configmaps');
const CRDS = gvr('apiextensions.k8s.io/v1', 'customresourcedefinitions');
const PEER_AUTHENTICATIONS = gvr('security.istio.io/v1', 'peerauthentications');
const PART_OF_AMBIT = 'app.kubernetes.io/part-of=ambit';
const FOREIGN_CRD = 'sidecars.networking.istio.io';

let cluster: TestCluster;

before(async () => {
  cluster = await openTestCluster('install');
});

after(async () => {
  await cluster[Symbol.asyncDispose]();
});

async function meshctl(...args: readonly string[]) {
  return await runMeshctl([...args, '-n', NAMESPACE, '--kubeconfig', cluster.kubeconfigPath], {});
}

async function succeed(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await meshctl(...args);
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}${stdout}`);
  return stdout;
}

async function versions(): Promise<readonly string[]> {
  const lists = await Promise.all(
    [
      DEPLOYMENTS,
      DAEMON_SETS,
      gvr('v1', 'services'),
      gvr('rbac.authorization.k8s.io/v1', 'clusterroles'),
    ].map(
      async (resource) => await cluster.client.list(resource, { labelSelector: PART_OF_AMBIT }),
    ),
  );
  return lists.flat().map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`);
}

function managers(object: KubeObject): readonly string[] {
  const { managedFields } = object.metadata as {
    managedFields?: readonly { manager: string; operation: string }[];
  };
  return (managedFields ?? [])
    .filter(({ operation }) => operation === 'Apply')
    .map(({ manager }) => manager);
}

/** In this order: each step begins where the one before ended. */
describe('meshctl install against an API server', () => {
  it('changes nothing with --dry-run', async () => {
    assert.match(await succeed('install', '--dry-run'), /Nothing was changed/);
    assert.equal(await cluster.client.find(NAMESPACES, { name: NAMESPACE }), undefined);
  });

  it('asks before it changes anything', async () => {
    const { code, stderr } = await meshctl('install');
    assert.match(stderr, /nobody to ask/);
    assert.equal(code, 2);
  });

  it('installs everything by server-side apply with its own field manager', async () => {
    const definition = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: FOREIGN_CRD, labels: { 'app.kubernetes.io/managed-by': 'Istio' } },
      spec: foreignSpec(),
    };
    await cluster.client.create(CRDS, definition);
    assert.match(await succeed('install', '-y', '--no-wait'), /Installation complete/);
    const controller = await cluster.client.get(DEPLOYMENTS, {
      namespace: NAMESPACE,
      name: 'ambit-controller',
    });
    assert.deepEqual(managers(controller), ['meshctl']);
    const agent = await cluster.client.get(DAEMON_SETS, {
      namespace: NAMESPACE,
      name: 'ambit-node-agent',
    });
    assert.deepEqual(managers(agent), ['meshctl']);
  });

  it('left the CRD that somebody else brought', async () => {
    const found = await cluster.client.get(CRDS, { name: FOREIGN_CRD });
    assert.equal(found.metadata.labels?.[CRD_OWNER_LABEL.key], undefined);
    const labelSelector = `${CRD_OWNER_LABEL.key}=${CRD_OWNER_LABEL.value}`;
    assert.equal((await cluster.client.list(CRDS, { labelSelector })).length, 14);
  });

  it('changes nothing the second time', async () => {
    const before = await versions();
    await succeed('install', '-y', '--no-wait');
    assert.deepEqual(await versions(), before);
    assert.match(await succeed('verify-install'), /as installed/);
  });

  it('says what somebody changed, and brings it back', async () => {
    const target = { namespace: NAMESPACE, name: 'ambit-controller' };
    await cluster.client.patch(DEPLOYMENTS, target, {
      type: 'merge',
      patch: { spec: { replicas: 7 } },
    });
    const { code, stdout } = await meshctl('verify-install');
    assert.equal(code, 1);
    assert.match(stdout, /✘ +Deployment ambit-install-test\/ambit-controller +changed/);
    await succeed('install', '-y', '--no-wait');
    assert.match(await succeed('verify-install'), /✔ +Deployment/);
  });

  it('keeps values at an upgrade, and takes away what is no longer wanted', async () => {
    await succeed(
      'upgrade',
      '-y',
      '--no-wait',
      '--set',
      'monitoring.rules.configMap=true,strictMtls=true',
    );
    const alerts = { namespace: NAMESPACE, name: 'ambit-alerts' };
    assert.ok(await cluster.client.find(CONFIG_MAPS, alerts));
    await succeed('upgrade', '-y', '--no-wait', '--set', 'monitoring.rules.configMap=false');
    assert.equal(await cluster.client.find(CONFIG_MAPS, alerts), undefined);
    assert.ok(
      await cluster.client.find(PEER_AUTHENTICATIONS, {
        namespace: NAMESPACE,
        name: 'ambit-strict',
      }),
    );
  });

  it('accepts an installation of every profile', async () => {
    for (const profile of ['minimal', 'demo', 'strict', 'default']) {
      await succeed(
        'install',
        '-y',
        '--no-wait',
        '--profile',
        profile,
        '--set',
        'resourceQuota.enabled=true',
      );
    }
  });

  it('refuses what Helm manages', async () => {
    const target = { namespace: NAMESPACE, name: 'ambit-controller' };
    const label = async (owner: string): Promise<void> => {
      const patch = { metadata: { labels: { 'app.kubernetes.io/managed-by': owner } } };
      await cluster.client.patch(DEPLOYMENTS, target, { type: 'merge', patch });
    };
    await label('Helm');
    const { code, stderr } = await meshctl('install', '-y', '--no-wait');
    assert.equal(code, 1);
    assert.match(stderr, /managed by Helm[\s\S]*fix: use helm upgrade/);
    await label('meshctl');
  });

  it('does not purge CRDs while there are objects of them', async () => {
    const object = {
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { name: 'mine', namespace: 'default' },
      spec: {},
    };
    await cluster.client.create(PEER_AUTHENTICATIONS, object);
    const { code, stderr } = await meshctl('uninstall', '-y', '--purge');
    assert.equal(code, 1);
    assert.match(stderr, /1 peerauthentications\.security\.istio\.io/);
    assert.ok(
      await cluster.client.find(DAEMON_SETS, { namespace: NAMESPACE, name: 'ambit-node-agent' }),
    );
    await cluster.client.delete(PEER_AUTHENTICATIONS, object.metadata);
  });

  it('uninstalls everything, and what the controller made, but nothing of others', async () => {
    const made = { 'app.kubernetes.io/managed-by': 'ambit-controller' };
    for (const [name, labels] of [
      ['made', made],
      ['others', {}],
    ] as const) {
      await cluster.client.create(CONFIG_MAPS, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, namespace: 'default', labels },
      });
    }
    await succeed('uninstall', '-y', '--purge');
    assert.deepEqual(await versions(), []);
    assert.equal(
      await cluster.client.find(CONFIG_MAPS, { namespace: 'default', name: 'made' }),
      undefined,
    );
    assert.ok(await cluster.client.find(CONFIG_MAPS, { namespace: 'default', name: 'others' }));
    assert.ok(await cluster.client.find(CRDS, { name: FOREIGN_CRD }), 'the CRD of somebody else');
    const labelSelector = `${CRD_OWNER_LABEL.key}=${CRD_OWNER_LABEL.value}`;
    const left = await cluster.client.list(CRDS, { labelSelector });
    assert.deepEqual(
      left.filter(({ metadata }) => metadata.deletionTimestamp === undefined),
      [],
    );
    const namespace = await cluster.client.find(NAMESPACES, { name: NAMESPACE });
    assert.ok(namespace === undefined || namespace.metadata.deletionTimestamp !== undefined);
    await cluster.client.delete(CRDS, { name: FOREIGN_CRD });
    await cluster.client.delete(CONFIG_MAPS, { namespace: 'default', name: 'others' });
  });

  it('says when there is nothing to uninstall', async () => {
    const { code, stderr } = await runMeshctl(
      ['uninstall', '-y', '-n', 'default', '--kubeconfig', cluster.kubeconfigPath],
      {},
    );
    assert.equal(code, 1);
    assert.match(stderr, /installed nothing in namespace default/);
  });
});

function foreignSpec(): unknown {
  const schema = {
    openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  };
  return {
    group: 'networking.istio.io',
    names: { kind: 'Sidecar', listKind: 'SidecarList', plural: 'sidecars', singular: 'sidecar' },
    scope: 'Namespaced',
    versions: [{ name: 'v1', served: true, storage: true, schema }],
  };
}
