/**
 * A mesh on Kubernetes: its programs are pods, and their admin ports answer on loopback inside of them, so they are
 * reached by a port-forward. Whoever may not do that in the namespace learns nothing here.
 */
import { isKubeError, type KubeObject } from '@ambit/kube';
import { AdminClient } from '../admin-client.ts';
import { EXIT, UserError } from '../errors.ts';
import { NAMESPACE_DEFAULT } from '../install/chart-files.ts';
import { type Cluster, fieldAt, gvr, listAt, textAt } from '../install/cluster.ts';
import { AGENT, CONTROLLER } from '../install/objects/common.ts';
import type { AdminOf, MeshTarget, ProxyAdmin } from './mesh-target.ts';
import type { TargetOptions } from './target-options.ts';

const ADMIN_PORT = 15_000;
export const PODS = gvr('v1', 'pods');
export const GATEWAY_NAME = 'gateway.networking.k8s.io/gateway-name';
/** Not those of Istio beside, which carry the label of Gateways as well. */
export const WAYPOINT_PODS = `${GATEWAY_NAME},app.kubernetes.io/managed-by=${CONTROLLER}`;

export function programLabel(name: string): string {
  return `app.kubernetes.io/name=${name}`;
}

export function clusterMesh(
  cluster: Cluster,
  { meshNamespace = NAMESPACE_DEFAULT }: TargetOptions,
): MeshTarget {
  const where = `namespace ${meshNamespace} of ${cluster.server}`;
  return {
    where,
    cluster,
    meshNamespace,
    namespace: cluster.client.http.credentials.namespace,
    controllers: () => controllersOf(cluster, { meshNamespace, where }),
    proxies: () => proxiesOf(cluster, meshNamespace),
    nodeOf: async (namespace, name) => {
      const found = await asked(cluster, () =>
        cluster.client.find(PODS, { namespace: namespace ?? 'default', name }),
      );
      return found === undefined ? undefined : textAt(found, 'spec', 'nodeName');
    },
  };
}

async function controllersOf(
  cluster: Cluster,
  { meshNamespace, where }: { readonly meshNamespace: string; readonly where: string },
): Promise<readonly AdminOf[]> {
  const pods = await podsOf(cluster, {
    namespace: meshNamespace,
    labelSelector: programLabel(CONTROLLER),
  });
  const found = pods.map((pod) =>
    adminOf(cluster, pod, { name: pod.metadata.name, who: 'the controller' }),
  );
  const ready = found.filter(({ isReady }) => isReady);
  if (ready.length > 0) return [...ready, ...found.filter(({ isReady }) => !isReady)];
  throw new UserError(`no controller is ready in ${where}`, {
    why:
      found.length === 0
        ? 'it has no pod there'
        : `not ready: ${found.map(({ name }) => name).join(', ')}`,
    fix:
      found.length === 0
        ? 'meshctl install; or name another namespace (-i), another context (--context)'
        : `meshctl check says why; kubectl -n ${meshNamespace} describe pods -l ${programLabel(CONTROLLER)}`,
    exitCode: EXIT.unavailable,
  });
}

async function proxiesOf(cluster: Cluster, namespace: string): Promise<readonly ProxyAdmin[]> {
  const [agents, waypoints] = await Promise.all([
    podsOf(cluster, { namespace, labelSelector: programLabel(AGENT) }),
    podsOf(cluster, { labelSelector: WAYPOINT_PODS }),
  ]);
  return [
    ...agents.map((pod) => {
      const name = textAt(pod, 'spec', 'nodeName');
      return {
        kind: 'node-agent' as const,
        ...adminOf(cluster, pod, { name, who: `the agent of ${name}` }),
      };
    }),
    ...waypoints.map((pod) => {
      const name = `${pod.metadata.namespace ?? ''}/${pod.metadata.labels?.[GATEWAY_NAME] ?? ''}`;
      return {
        kind: 'waypoint' as const,
        ...adminOf(cluster, pod, { name, who: `the waypoint ${name}` }),
        ...deploymentOf(pod),
      };
    }),
  ];
}

/** A Deployment's pods are owned by a ReplicaSet of its name and the hash that they carry. */
export function deploymentOf({ metadata }: KubeObject): { readonly deployment?: string } {
  const owner = listAt({ metadata }, 'metadata', 'ownerReferences').find(
    (one) => textAt(one, 'kind') === 'ReplicaSet',
  );
  const end = `-${metadata.labels?.['pod-template-hash'] ?? ''}`;
  const name = textAt(owner, 'name');
  return end === '-' || !name.endsWith(end)
    ? {}
    : { deployment: `${metadata.namespace ?? ''}/${name.slice(0, -end.length)}` };
}

/** Pods that run or will; those that have ended or are going away are nobody to ask. */
export async function podsOf(
  cluster: Cluster,
  options: { readonly namespace?: string; readonly labelSelector: string },
): Promise<readonly KubeObject[]> {
  const pods = await asked(cluster, () => cluster.client.list(PODS, options));
  return pods
    .filter((pod) => !['Succeeded', 'Failed'].includes(textAt(pod, 'status', 'phase')))
    .filter((pod) => fieldAt(pod, 'metadata', 'deletionTimestamp') === undefined);
}

function adminOf(
  cluster: Cluster,
  pod: KubeObject,
  { name, who }: { readonly name: string; readonly who: string },
): AdminOf {
  const { namespace = '', name: podName } = pod.metadata;
  const connect = (): ReturnType<typeof cluster.client.portForward> =>
    cluster.client.portForward(namespace, podName, ADMIN_PORT);
  const fix = `kubectl -n ${namespace} logs ${podName}; a port-forward needs the right to create pods/portforward`;
  return {
    name,
    client: new AdminClient(`pod ${namespace}/${podName}`, { who, fix, connect }),
    pod: `${namespace}/${podName}`,
    node: textAt(pod, 'spec', 'nodeName'),
    version: imageTag(pod),
    isReady: isReady(pod),
  };
}

export function isReady(pod: unknown): boolean {
  return listAt(pod, 'status', 'conditions').some(
    (one) => textAt(one, 'type') === 'Ready' && textAt(one, 'status') === 'True',
  );
}

/** `0.1.0` of `registry:5000/ambit/controller:0.1.0@sha256:…`. */
function imageTag(pod: unknown): string {
  const image = textAt(listAt(pod, 'spec', 'containers')[0], 'image').replace(/@.*$/, '');
  const colon = image.lastIndexOf(':');
  return colon > image.lastIndexOf('/') ? image.slice(colon + 1) : 'latest';
}

async function asked<T>({ server }: Cluster, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!isKubeError(error)) throw error;
    throw new UserError(`the API server at ${server} does not say which pods there are`, {
      why: error.message,
      fix: 'is the context right (--context), the cluster up, and may you list pods?',
      exitCode: EXIT.unavailable,
      cause: error,
    });
  }
}
