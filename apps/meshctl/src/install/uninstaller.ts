/**
 * Takes an installation out of a cluster, nodes first.
 *
 * Order: agents end; their rules, sockets and files go from each node; the controller ends, so that it makes nothing
 * again; then what it made, then what meshctl made. While a node could not be cleaned, everything else stays.
 */
import { CRD_OWNER_LABEL } from '@ambit/api';
import type { KubeObject } from '@ambit/kube';
import { UserError } from '../errors.ts';
import {
  type Cluster,
  deleteTarget,
  describeTarget,
  findTarget,
  gvr,
  listAt,
  listIfServed,
  numberAt,
  resourceOf,
  type Target,
  targetOf,
  textAt,
} from './cluster.ts';
import { INVENTORY, type Inventory } from './inventory.ts';
import { renderCleanup } from './manifests.ts';
import { AGENT, AGENT_CLEANUP, CONTROLLER, PART_OF } from './objects/common.ts';
import { cleanupState, waitUntil } from './rollout.ts';
import type { JsonMap } from './values.ts';

export interface UninstallOptions {
  readonly namespace: string;
  readonly inventory: Inventory | undefined;
  readonly values: JsonMap;
  readonly timeoutMs: number;
  readonly say: (line: string) => void;
}

const PODS = gvr('v1', 'pods');
const NODES = gvr('v1', 'nodes');
const CRDS = gvr('apiextensions.k8s.io/v1', 'customresourcedefinitions');
const TAINT = 'ambit.io/agent-not-ready';
const BY_CONTROLLER = `app.kubernetes.io/managed-by=${CONTROLLER}`;

/** What the controller makes, and in which order it goes: programs before what they run as. */
const MADE_BY_CONTROLLER: readonly (readonly [string, string, string])[] = [
  [
    'admissionregistration.k8s.io/v1',
    'validatingwebhookconfigurations',
    `app.kubernetes.io/part-of=${PART_OF}`,
  ],
  ['autoscaling/v2', 'horizontalpodautoscalers', BY_CONTROLLER],
  ['policy/v1', 'poddisruptionbudgets', BY_CONTROLLER],
  ['apps/v1', 'deployments', BY_CONTROLLER],
  ['v1', 'services', BY_CONTROLLER],
  ['v1', 'serviceaccounts', BY_CONTROLLER],
  ['v1', 'configmaps', BY_CONTROLLER],
  ['v1', 'secrets', BY_CONTROLLER],
  ['coordination.k8s.io/v1', 'leases', BY_CONTROLLER],
  ['gateway.networking.k8s.io/v1', 'gatewayclasses', BY_CONTROLLER],
];

/** Ends the agents and cleans every node. Throws a UserError that names the nodes that are left. */
export async function cleanNodes(cluster: Cluster, options: UninstallOptions): Promise<void> {
  const { namespace, values, timeoutMs, say } = options;
  const deadline = cluster.clock.now() + timeoutMs;
  const agent = { apiVersion: 'apps/v1', kind: 'DaemonSet', namespace, name: AGENT };
  const found = await findTarget(cluster, agent);
  await deleteTarget(cluster, agent);
  await waitForPodsToGo(cluster, { namespace, name: AGENT, deadline });
  say('✔ Agents have ended');
  if (found === undefined) return;
  const manifest = renderCleanup({ values, namespace, service: 'meshctl' });
  const cleanup = targetOf(manifest);
  await cluster.client.apply(resourceOf(cleanup), manifest as unknown as KubeObject, {
    force: true,
  });
  await waitUntil(cluster, { deadline, what: describeTarget(cleanup) }, async () => {
    const set = await findTarget(cluster, cleanup);
    const wanted = numberAt(set, 'status', 'desiredNumberScheduled');
    if (numberAt(set, 'status', 'observedGeneration') === 0)
      return 'the cluster has not looked at it yet';
    const pods = await podsOf(cluster, namespace, AGENT_CLEANUP);
    const states = pods.map(cleanupState);
    const done = states.filter((state) => state === 'done').length;
    const failed = states.filter((state) => state !== 'done' && state !== 'waiting');
    return done >= wanted
      ? undefined
      : [`${done} of ${wanted} nodes are clean`, ...failed].join('; ');
  });
  await deleteTarget(cluster, cleanup);
  await waitForPodsToGo(cluster, { namespace, name: AGENT_CLEANUP, deadline });
  say('✔ Nodes are clean');
}

/** After `cleanNodes`. Gives what was deleted. */
export async function removeObjects(
  cluster: Cluster,
  { namespace, inventory, timeoutMs, say }: UninstallOptions,
): Promise<readonly Target[]> {
  const deadline = cluster.clock.now() + timeoutMs;
  const removed: Target[] = [];
  const remove = async (target: Target): Promise<void> => {
    if (await deleteTarget(cluster, target)) removed.push(target);
  };
  await remove({ apiVersion: 'apps/v1', kind: 'Deployment', namespace, name: CONTROLLER });
  await waitForPodsToGo(cluster, { namespace, name: CONTROLLER, deadline });
  say('✔ Controller has ended');
  await untaint(cluster);
  for (const [apiVersion, resource, labelSelector] of MADE_BY_CONTROLLER) {
    for (const object of await listIfServed(cluster, gvr(apiVersion, resource), {
      labelSelector,
    })) {
      await cluster.client.delete(gvr(apiVersion, resource), object.metadata);
    }
  }
  for (const target of [...(inventory?.objects ?? [])].reverse()) await remove(target);
  await remove({ apiVersion: 'v1', kind: 'ConfigMap', namespace, name: INVENTORY });
  say(`✔ ${removed.length} objects are deleted`);
  if (inventory?.hasMadeNamespace === true) await removeNamespace(cluster, namespace, say);
  else await releaseNamespace(cluster, namespace);
  return removed;
}

/** The namespace is somebody else's: what only this field manager set on it goes. */
async function releaseNamespace(cluster: Cluster, name: string): Promise<void> {
  const namespaces = gvr('v1', 'namespaces');
  if ((await cluster.client.find(namespaces, { name })) === undefined) return;
  const bare = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
  await cluster.client.apply(namespaces, bare as KubeObject);
}

/** The CRDs that Ambit brought. Throws a UserError while there are objects of them, unless forced. */
export async function purgeableCrds(
  cluster: Cluster,
  { isForced }: { readonly isForced: boolean },
): Promise<readonly Target[]> {
  const labelSelector = `${CRD_OWNER_LABEL.key}=${CRD_OWNER_LABEL.value}`;
  const definitions = await cluster.client.list(CRDS, { labelSelector });
  const used: string[] = [];
  for (const definition of isForced ? [] : definitions) {
    const spec = definition['spec'];
    const version = textAt(listAt(spec, 'versions')[0], 'name');
    const resource = gvr(`${textAt(spec, 'group')}/${version}`, textAt(spec, 'names', 'plural'));
    const objects = await listIfServed(cluster, resource);
    const own = objects.filter(
      (one) => one.metadata.labels?.['app.kubernetes.io/part-of'] !== PART_OF,
    );
    if (own.length > 0) used.push(`${own.length} ${definition.metadata.name}`);
  }
  if (used.length > 0) {
    throw new UserError('--purge would delete objects of yours', {
      why: used.join(', '),
      fix: 'save and delete them first, leave --purge out, or say --force',
    });
  }
  return definitions.map(({ metadata }) => ({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    name: metadata.name,
  }));
}

async function podsOf(
  cluster: Cluster,
  namespace: string,
  name: string,
): Promise<readonly KubeObject[]> {
  const labelSelector = `app.kubernetes.io/name=${name},app.kubernetes.io/part-of=${PART_OF}`;
  return await cluster.client.list(PODS, { namespace, labelSelector });
}

async function waitForPodsToGo(
  cluster: Cluster,
  {
    namespace,
    name,
    deadline,
  }: { readonly namespace: string; readonly name: string; readonly deadline: number },
): Promise<void> {
  await waitUntil(cluster, { deadline, what: `the end of ${name}` }, async () => {
    const pods = await podsOf(cluster, namespace, name);
    return pods.length === 0 ? undefined : `${pods.length} pods are still there`;
  });
}

async function untaint(cluster: Cluster): Promise<void> {
  for (const node of await cluster.client.list(NODES)) {
    const taints = listAt(node, 'spec', 'taints');
    const kept = taints.filter((taint) => textAt(taint, 'key') !== TAINT);
    if (kept.length === taints.length) continue;
    // With the version that was read: somebody else's taint must not get lost.
    await cluster.client.patch(NODES, node.metadata, {
      type: 'merge',
      patch: {
        metadata: { resourceVersion: node.metadata.resourceVersion },
        spec: { taints: kept },
      },
    });
  }
}

/** Kinds whose objects people would miss. */
const KINDS_OF_PEOPLE: readonly (readonly [string, string])[] = [
  ['v1', 'pods'],
  ['apps/v1', 'deployments'],
  ['apps/v1', 'daemonsets'],
  ['apps/v1', 'statefulsets'],
  ['batch/v1', 'jobs'],
  ['batch/v1', 'cronjobs'],
  ['v1', 'services'],
  ['v1', 'secrets'],
  ['v1', 'persistentvolumeclaims'],
  ['security.istio.io/v1', 'authorizationpolicies'],
  ['security.istio.io/v1', 'peerauthentications'],
  ['security.istio.io/v1', 'requestauthentications'],
  ['networking.istio.io/v1', 'virtualservices'],
  ['networking.istio.io/v1', 'destinationrules'],
  ['networking.istio.io/v1', 'serviceentries'],
  ['networking.istio.io/v1', 'gateways'],
  ['telemetry.istio.io/v1', 'telemetries'],
  ['gateway.networking.k8s.io/v1', 'gateways'],
];

async function removeNamespace(
  cluster: Cluster,
  namespace: string,
  say: (line: string) => void,
): Promise<void> {
  for (const [apiVersion, resource] of KINDS_OF_PEOPLE) {
    const objects = await listIfServed(cluster, gvr(apiVersion, resource), { namespace });
    if (objects.length > 0) {
      say(`  Namespace ${namespace} stays: ${objects.length} ${resource} are in it`);
      return;
    }
  }
  await deleteTarget(cluster, { apiVersion: 'v1', kind: 'Namespace', name: namespace });
  say(`✔ Namespace ${namespace} is deleted`);
}
