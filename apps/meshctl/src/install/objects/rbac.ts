/**
 * What the controller may do, verb by verb.
 *
 * Rule: it reads what configures the mesh, writes statuses of that, and writes nothing else but what it makes itself.
 * Secrets are read in its own namespace only. The agent has no rule at all.
 */
import { comment, type Node, type NodeMap, releaseNamespace } from '../symbolic.ts';
import { CONTROLLER, clusterMetadataOf, metadataOf } from './common.ts';

interface Rule {
  readonly why: string;
  readonly groups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

const READ = ['get', 'list', 'watch'];
/** Server-side apply is a patch; of an object that is not there yet, a create too. */
const APPLY = ['get', 'create', 'patch'];
const OWN = [...READ, 'create', 'patch', 'update', 'delete'];

const ISTIO_GROUPS = [
  'networking.istio.io',
  'security.istio.io',
  'telemetry.istio.io',
  'extensions.istio.io',
];
const GATEWAY_GROUP = 'gateway.networking.k8s.io';
const GATEWAY_KINDS = [
  'gatewayclasses',
  'gateways',
  'httproutes',
  'grpcroutes',
  'tlsroutes',
  'tcproutes',
  'referencegrants',
  'backendtlspolicies',
  'udproutes',
  'listenersets',
];

export const CLUSTER_RULES: readonly Rule[] = [
  {
    why: 'The mesh is made of these: who runs where, under which name and account.',
    groups: [''],
    resources: ['namespaces', 'nodes', 'pods', 'services', 'serviceaccounts'],
    verbs: READ,
  },
  {
    why: 'Which pods are ready behind a service.',
    groups: ['discovery.k8s.io'],
    resources: ['endpointslices'],
    verbs: READ,
  },
  {
    why: "Istio's objects, which are how people configure the mesh, and Ambit's own.",
    groups: [...ISTIO_GROUPS, 'ambit.io'],
    resources: ['*'],
    verbs: READ,
  },
  {
    why: 'Conditions on them: Accepted, Enforced.',
    groups: [...ISTIO_GROUPS, 'ambit.io'],
    resources: ['*/status'],
    verbs: ['patch', 'update'],
  },
  {
    why: 'Gateway API: routes, waypoints and gateways.',
    groups: [GATEWAY_GROUP],
    resources: GATEWAY_KINDS,
    verbs: READ,
  },
  {
    why: 'The statuses that Gateway API asks for.',
    groups: [GATEWAY_GROUP],
    resources: GATEWAY_KINDS.filter((kind) => kind !== 'referencegrants').map(
      (kind) => `${kind}/status`,
    ),
    verbs: ['patch', 'update'],
  },
  {
    why: "Its GatewayClass, and waypoints that namespaces' labels ask for.",
    groups: [GATEWAY_GROUP],
    resources: ['gatewayclasses', 'gateways'],
    verbs: ['create', 'patch', 'update', 'delete'],
  },
  {
    why: 'The condition istio.io/WaypointBound on services.',
    groups: [''],
    resources: ['services/status'],
    verbs: ['patch', 'update'],
  },
  {
    why: 'Which kinds the cluster has: an absent one is waited for.',
    groups: ['apiextensions.k8s.io'],
    resources: ['customresourcedefinitions'],
    verbs: READ,
  },
  {
    why: 'The taint ambit.io/agent-not-ready, set on new nodes and taken off when their agent is ready.',
    groups: [''],
    resources: ['nodes'],
    verbs: ['patch', 'update'],
  },
  {
    why: 'Whether the token of an agent or waypoint is good, and which pod it is bound to.',
    groups: ['authentication.k8s.io'],
    resources: ['tokenreviews'],
    verbs: ['create'],
  },
  {
    why: 'Waypoints that it provisions: account, service and overlays in the namespace of their Gateway.',
    groups: [''],
    resources: ['serviceaccounts', 'services'],
    verbs: ['create', 'patch', 'update', 'delete'],
  },
  {
    why: 'The root certificate in every namespace, and parameters of gateways.',
    groups: [''],
    resources: ['configmaps'],
    verbs: [...READ, 'create', 'patch'],
  },
  {
    why: 'Waypoints that it provisions: the program.',
    groups: ['apps'],
    resources: ['deployments'],
    verbs: OWN,
  },
  {
    why: 'Waypoints that it provisions: disruption budgets.',
    groups: ['policy'],
    resources: ['poddisruptionbudgets'],
    verbs: OWN,
  },
  {
    why: 'Waypoints that it provisions: autoscalers.',
    groups: ['autoscaling'],
    resources: ['horizontalpodautoscalers'],
    verbs: OWN,
  },
  {
    why: 'Its own admission webhook, whose certificate it renews.',
    groups: ['admissionregistration.k8s.io'],
    resources: ['validatingwebhookconfigurations'],
    verbs: [...READ, ...APPLY.filter((verb) => verb !== 'get'), 'update', 'delete'],
  },
  {
    why: 'Certificates by cert-manager, where it is the provider.',
    groups: ['cert-manager.io'],
    resources: ['certificaterequests'],
    verbs: ['get', 'list', 'watch', 'create', 'delete'],
  },
  {
    why: 'Events on pods and objects: refused, not enforced, not captured; counted up where one is there.',
    groups: ['', 'events.k8s.io'],
    resources: ['events'],
    verbs: ['get', 'create', 'patch'],
  },
];

const NAMESPACE_RULES: readonly Rule[] = [
  {
    why: 'The key of the CA.',
    groups: [''],
    resources: ['secrets'],
    verbs: OWN,
  },
  {
    why: 'Which replica writes.',
    groups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: OWN,
  },
  {
    why: 'Where the agents are.',
    groups: ['apps'],
    resources: ['daemonsets'],
    verbs: READ,
  },
];

export function controllerClusterRole(): Node {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: clusterMetadataOf(CONTROLLER, CONTROLLER),
    rules: CLUSTER_RULES.map(ruleOf),
  };
}

export function controllerClusterRoleBinding(): Node {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: clusterMetadataOf(CONTROLLER, CONTROLLER),
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: CONTROLLER },
    subjects: subjects(),
  };
}

export function controllerRole(): Node {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: metadataOf(CONTROLLER, CONTROLLER),
    rules: NAMESPACE_RULES.map(ruleOf),
  };
}

export function controllerRoleBinding(): Node {
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: metadataOf(CONTROLLER, CONTROLLER),
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: CONTROLLER },
    subjects: subjects(),
  };
}

function ruleOf({ why, groups, resources, verbs }: Rule): Node {
  return comment(why, { apiGroups: groups, resources, verbs });
}

function subjects(): readonly NodeMap[] {
  return [{ kind: 'ServiceAccount', name: CONTROLLER, namespace: releaseNamespace }];
}
