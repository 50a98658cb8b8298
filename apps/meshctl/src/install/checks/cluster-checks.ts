/** What a cluster must be like before Ambit is installed, and afterwards too. */
import { CRD_OWNER_LABEL, customResourceDefinitions } from '@ambit/api';
import type { KubeObject } from '@ambit/kube';
import { DEFAULT_REVISION } from '@ambit/model';
import { fieldAt, gvr, listAt, listIfServed, textAt } from '../cluster.ts';
import { isWaypointPod } from '../enroll-command.ts';
import { CONTROLLER } from '../objects/common.ts';
import { CLUSTER_RULES } from '../objects/rbac.ts';
import { type Check, type CheckContext, error, type Outcome, ok, some, warning } from './check.ts';

/** appArmorProfile as a field, native sidecars, selectable unhealthy evictions. */
const KUBERNETES_MINOR_MIN = 30;
const KUBERNETES_MINOR_TESTED = 35;
const CLOCK_SKEW_MS_MAX = 60_000;
const REVIEWS = gvr('authorization.k8s.io/v1', 'selfsubjectaccessreviews');
const CRDS = gvr('apiextensions.k8s.io/v1', 'customresourcedefinitions');
const NAMESPACES = gvr('v1', 'namespaces');
const PODS = gvr('v1', 'pods');
const POLICIES = gvr('networking.k8s.io/v1', 'networkpolicies');
const DAEMON_SETS = gvr('apps/v1', 'daemonsets');
const DEPLOYMENTS = gvr('apps/v1', 'deployments');
const HBONE_PORT = 15_008;
const MODE_LABEL = 'istio.io/dataplane-mode';

/** What the installer writes. */
const WRITTEN: readonly (readonly [group: string, resource: string])[] = [
  ['', 'namespaces'],
  ['', 'serviceaccounts'],
  ['', 'services'],
  ['', 'configmaps'],
  ['apps', 'deployments'],
  ['apps', 'daemonsets'],
  ['policy', 'poddisruptionbudgets'],
  ['rbac.authorization.k8s.io', 'clusterroles'],
  ['rbac.authorization.k8s.io', 'clusterrolebindings'],
  ['rbac.authorization.k8s.io', 'roles'],
  ['rbac.authorization.k8s.io', 'rolebindings'],
  ['apiextensions.k8s.io', 'customresourcedefinitions'],
];

export const CLUSTER_CHECKS: readonly Check[] = [
  {
    id: 'api-reachable',
    category: 'Kubernetes API',
    description: 'the API server answers',
    hint: 'Choose a context with --context; see whether kubectl get --raw /version answers.',
    isFatal: true,
    run: async ({ cluster }) => ok(textAt(await cluster.client.raw('/version'), 'gitVersion')),
  },
  {
    id: 'kubernetes-version',
    category: 'Kubernetes API',
    description: `Kubernetes is 1.${KUBERNETES_MINOR_MIN} or later`,
    hint: 'Upgrade the cluster: fields that the agent depends on are ignored by older ones.',
    run: kubernetesVersion,
  },
  {
    id: 'clock',
    category: 'Kubernetes API',
    description: 'the clock here and that of the API server agree',
    hint: 'Run NTP on both: certificates are refused before their time.',
    run: clockSkew,
  },
  {
    id: 'may-install',
    category: 'Permissions',
    description: 'you may write what an installation consists of',
    hint: 'Ask for cluster-admin, or for these verbs on these resources.',
    run: mayInstall,
  },
  {
    id: 'may-grant',
    category: 'Permissions',
    description: 'you may grant the controller its rights',
    hint: 'Nobody can grant what they do not have, unless they may escalate clusterroles.',
    run: mayGrant,
  },
  {
    id: 'crds',
    category: 'Custom resources',
    description: "the CRDs of Istio's kinds are there, or can be made",
    hint: 'meshctl install makes those that are missing and leaves those of others as they are.',
    run: crdOwners,
  },
  {
    id: 'gateway-api',
    category: 'Custom resources',
    description: 'the Gateway API is there',
    hint: 'Install the standard channel of the Gateway API: waypoints are Gateway objects.',
    run: gatewayApi,
  },
  {
    id: 'injection-conflict',
    category: 'Beside others',
    description: 'no enrolled namespace also asks for sidecars of Istio',
    hint: 'Take istio-injection off the namespace: pods with a sidecar are never captured.',
    run: injectionConflicts,
  },
  {
    id: 'two-meshes',
    category: 'Beside others',
    description: 'no other mesh captures the same pods',
    hint: "Install with a revision (--set revision=ambit) and label with istio.io/rev what is Ambit's: docs/migrate-from-istio.md.",
    run: otherAgents,
  },
  {
    id: 'sidecars',
    category: 'Beside others',
    description: 'no pod of an enrolled namespace has a sidecar',
    hint: 'Restart those pods after injection is off; until then they stay outside of the mesh.',
    run: sidecarPods,
  },
  {
    id: 'network-policies',
    category: 'Network',
    description: `no NetworkPolicy of an enrolled namespace closes port ${HBONE_PORT}`,
    hint: `Allow ingress to TCP port ${HBONE_PORT} from the pods that may call, if no other policy does: in the mesh every call arrives there.`,
    run: blockedHbone,
  },
];

async function kubernetesVersion({ cluster }: CheckContext): Promise<Outcome> {
  const version = await cluster.client.raw('/version');
  const minor = Number.parseInt(textAt(version, 'minor'), 10);
  const said = textAt(version, 'gitVersion');
  if (!(minor >= KUBERNETES_MINOR_MIN)) return error(`found ${said}`);
  return minor > KUBERNETES_MINOR_TESTED
    ? warning(`${said} is newer than what was tested`)
    : ok(said);
}

/** By the Date of an answer. */
async function clockSkew({ cluster }: CheckContext): Promise<Outcome> {
  const response = await cluster.client.http.open({ method: 'GET', path: '/version' });
  response.resume();
  const theirs = Date.parse(response.headers.date ?? '');
  if (Number.isNaN(theirs)) return warning('the API server does not say its time');
  const skewMs = Math.abs(cluster.clock.wallNow() - theirs);
  return skewMs > CLOCK_SKEW_MS_MAX
    ? error(`they differ by ${Math.round(skewMs / 1_000)} s`)
    : ok();
}

async function may(
  { cluster }: CheckContext,
  verb: string,
  group: string,
  resource: string,
): Promise<boolean> {
  const [name, subresource] = resource.split('/');
  const resourceAttributes = {
    verb,
    group,
    resource: name,
    ...(subresource === undefined ? {} : { subresource }),
  };
  const answer = await cluster.client.review(REVIEWS, {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes },
  });
  return fieldAt(answer, 'status', 'allowed') === true;
}

async function mayInstall(context: CheckContext): Promise<Outcome> {
  const missing: string[] = [];
  for (const [group, resource] of WRITTEN) {
    for (const verb of ['create', 'patch', 'delete']) {
      if (!(await may(context, verb, group, resource))) missing.push(`${verb} ${resource}`);
    }
  }
  return missing.length === 0 ? ok() : error(`missing: ${some(missing)}`);
}

async function mayGrant(context: CheckContext): Promise<Outcome> {
  if (await may(context, 'escalate', 'rbac.authorization.k8s.io', 'clusterroles')) return ok();
  const missing: string[] = [];
  for (const { groups, resources, verbs } of CLUSTER_RULES) {
    const [group = ''] = groups;
    const [resource = ''] = resources;
    const [verb = ''] = verbs;
    if (!(await may(context, verb, group, resource))) missing.push(`${verb} ${resource}`);
  }
  return missing.length === 0 ? ok() : error(`missing: ${some(missing)}`);
}

async function crdOwners({ cluster }: CheckContext): Promise<Outcome> {
  const found = new Map((await cluster.client.list(CRDS)).map((one) => [one.metadata.name, one]));
  const names = customResourceDefinitions().map(({ metadata }) => metadata.name);
  const there = names.filter((name) => found.has(name));
  const ours = there.filter(
    (name) => found.get(name)?.metadata.labels?.[CRD_OWNER_LABEL.key] === CRD_OWNER_LABEL.value,
  );
  const others = there.length - ours.length;
  return ok(`${ours.length} of Ambit, ${others} of others, ${names.length - there.length} missing`);
}

async function gatewayApi({ cluster }: CheckContext): Promise<Outcome> {
  const name = 'gateways.gateway.networking.k8s.io';
  const found = await cluster.client.find(CRDS, { name });
  if (found === undefined) return warning('there is none: waypoints cannot be asked for');
  const version = found.metadata.annotations?.['gateway.networking.k8s.io/bundle-version'];
  return ok(version);
}

/** Names of the namespaces that Ambit captures. */
async function enrolled({ cluster }: CheckContext): Promise<readonly string[]> {
  const found = await cluster.client.list(NAMESPACES, { labelSelector: `${MODE_LABEL}=ambient` });
  return found.map(({ metadata }) => metadata.name);
}

async function injectionConflicts({ cluster }: CheckContext): Promise<Outcome> {
  const labelSelector = `${MODE_LABEL}=ambient,istio-injection=enabled`;
  const found = await cluster.client.list(NAMESPACES, { labelSelector });
  const names = found.map(({ metadata }) => metadata.name);
  return names.length === 0 ? ok() : warning(some(names));
}

/** Istio's node proxies capture by the same label; a revision of our own keeps both apart. */
async function otherAgents({ cluster, namespace }: CheckContext): Promise<Outcome> {
  const found = (await cluster.client.list(DAEMON_SETS)).filter(isOtherAgent);
  if (found.length === 0) return ok();
  const controller = await cluster.client.find(DEPLOYMENTS, { namespace, name: CONTROLLER });
  const names = some(found.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
  const revision = controller === undefined ? undefined : revisionOf(controller);
  return revision === undefined || revision === DEFAULT_REVISION
    ? warning(`${names} captures pods too, and all that have no revision belong to both`)
    : ok(`${names} runs beside; this mesh has the revision ${revision}`);
}

/** Releases differ in the labels of the DaemonSet itself; its pods are found by this one in all of them. */
export function isOtherAgent(daemonSet: unknown): boolean {
  const labels = fieldAt(daemonSet, 'spec', 'template', 'metadata', 'labels');
  return textAt(labels, 'app') === 'ztunnel' || textAt(labels, 'k8s-app') === 'istio-cni-node';
}

function revisionOf(controller: KubeObject): string | undefined {
  const [container] = listAt(controller, 'spec', 'template', 'spec', 'containers');
  const found = listAt(container, 'env').find((one) => textAt(one, 'name') === 'REVISION');
  return found === undefined ? undefined : textAt(found, 'value');
}

async function sidecarPods(context: CheckContext): Promise<Outcome> {
  const names: string[] = [];
  for (const namespace of await enrolled(context)) {
    for (const pod of await context.cluster.client.list(PODS, { namespace })) {
      const containers = [
        ...listAt(pod, 'spec', 'containers'),
        ...listAt(pod, 'spec', 'initContainers'),
      ];
      const hasSidecar = containers.some((one) => textAt(one, 'name') === 'istio-proxy');
      if (hasSidecar && !isWaypointPod(pod)) names.push(`${namespace}/${pod.metadata.name}`);
    }
  }
  return names.length === 0 ? ok() : warning(some(names));
}

async function blockedHbone(context: CheckContext): Promise<Outcome> {
  const names: string[] = [];
  for (const namespace of await enrolled(context)) {
    for (const policy of await listIfServed(context.cluster, POLICIES, { namespace })) {
      if (closesHbone(policy)) names.push(`${namespace}/${policy.metadata.name}`);
    }
  }
  return names.length === 0 ? ok() : warning(some(names));
}

/** True if the policy has rules for ingress and none of them lets anything in on the tunnel's port. */
export function closesHbone(policy: unknown): boolean {
  const types = listAt(policy, 'spec', 'policyTypes');
  const rules = listAt(policy, 'spec', 'ingress');
  if (types.length > 0 && !types.includes('Ingress')) return false;
  return !rules.some((rule) => {
    const ports = listAt(rule, 'ports');
    return ports.length === 0 || ports.some(admitsHbone);
  });
}

function admitsHbone(port: unknown): boolean {
  const protocol = textAt(port, 'protocol') || 'TCP';
  const from = fieldAt(port, 'port');
  const to = fieldAt(port, 'endPort');
  if (protocol !== 'TCP') return false;
  if (from === undefined) return true;
  if (typeof from !== 'number') return false;
  return typeof to === 'number' ? from <= HBONE_PORT && HBONE_PORT <= to : from === HBONE_PORT;
}
