/**
 * What the overlay of a Gateway's own ConfigMap may say: how much of a waypoint runs, where, and how it is reached.
 *
 * Rule: whoever writes Gateways and ConfigMaps need not be allowed to make pods or to read Secrets, and the controller, which
 * is, makes these pods. So whatever would choose a program, a file, an account, a node past its scheduler, or less of what bounds
 * the program is not in the list, and what is not in the list is refused. Defaults of a class are written by whoever runs the mesh: for those only the borders of `pod-rights.ts` hold.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Finding } from '@ambit/api';
import { WAYPOINT_CONTAINER } from '../../provision/waypoint-objects.ts';
import type { PartKind } from './parts.ts';
import { strategicMerge } from './strategic-merge.ts';

/** The whole value, whatever it is; else the reason why not this one, or undefined. */
type Leaf = true | ((value: unknown) => string | undefined);
interface Tree {
  readonly [field: string]: Rule;
}
/** A list of objects, by the names that may be in it. */
interface Named {
  readonly key: string;
  /** Undefined: it may be there. */
  readonly refusal: (name: string) => string | undefined;
  readonly item: Tree;
}
type Rule = Leaf | Tree | readonly [Named];

const METADATA: Tree = { labels: true, annotations: true };
const HOST_FIELDS = 'cpu, memory, ephemeral-storage';
const RESOURCES = new Set(HOST_FIELDS.split(', '));
/** Settings of the program that change how it runs, and neither whom it trusts nor who it is. */
const ENVIRONMENT = [
  'AMBIT_DRAIN_DELAY',
  'AMBIT_LOG_LEVEL',
  'AMBIT_WORKERS',
  'SECRET_TTL',
  'TERMINATION_GRACE_PERIOD_SECONDS',
  'TZ',
];
const TIMES: Tree = {
  initialDelaySeconds: true,
  periodSeconds: true,
  timeoutSeconds: true,
  successThreshold: true,
  failureThreshold: true,
};
const SECURITY: Tree = {
  // None: the cluster gives one.
  runAsUser: (value) => (value === 0 ? 'a user other than root, who does not start' : undefined),
  runAsGroup: true,
  // Which values a profile may have is checked where all pods are: pod-rights.ts.
  seccompProfile: profile,
  appArmorProfile: profile,
  seLinuxOptions: (value) =>
    isFields(value) && value['$patch'] === undefined ? undefined : 'options that are kept',
};

const CONTAINER: Tree = {
  name: true,
  resources: { requests: resourcesOfPods, limits: resourcesOfPods },
  env: [
    {
      key: 'name',
      refusal: (name: string) => (ENVIRONMENT.includes(name) ? undefined : ENVIRONMENT.join(', ')),
      item: { name: true, value: true },
    },
  ],
  imagePullPolicy: true,
  startupProbe: TIMES,
  readinessProbe: TIMES,
  livenessProbe: TIMES,
  lifecycle: { preStop: { sleep: true } },
  securityContext: SECURITY,
  terminationMessagePolicy: true,
};

const POD: Tree = {
  nodeSelector: true,
  affinity: true,
  tolerations: true,
  topologySpreadConstraints: true,
  priorityClassName: (value) =>
    typeof value === 'string' && value.startsWith('system-')
      ? 'a class of yours: those of the system push other pods off their nodes'
      : undefined,
  schedulerName: true,
  terminationGracePeriodSeconds: true,
  imagePullSecrets: true,
  dnsPolicy: true,
  dnsConfig: true,
  enableServiceLinks: true,
  securityContext: { ...SECURITY, fsGroup: true, fsGroupChangePolicy: true },
  containers: [
    {
      key: 'name',
      refusal: (name: string) =>
        name === WAYPOINT_CONTAINER ? undefined : `only the container "${WAYPOINT_CONTAINER}"`,
      item: CONTAINER,
    },
  ],
};

const FIELDS: Readonly<Record<PartKind, Tree>> = {
  serviceAccount: { metadata: METADATA, imagePullSecrets: true },
  service: {
    metadata: METADATA,
    spec: {
      type: (value) =>
        value === 'ExternalName' ? 'ClusterIP, NodePort or LoadBalancer' : undefined,
      ports: true,
      clusterIP: true,
      clusterIPs: true,
      ipFamilies: true,
      ipFamilyPolicy: true,
      loadBalancerIP: true,
      loadBalancerClass: true,
      loadBalancerSourceRanges: true,
      allocateLoadBalancerNodePorts: true,
      externalTrafficPolicy: true,
      internalTrafficPolicy: true,
      trafficDistribution: true,
      healthCheckNodePort: true,
      sessionAffinity: true,
      sessionAffinityConfig: true,
    },
  },
  podDisruptionBudget: {
    metadata: METADATA,
    spec: { minAvailable: true, maxUnavailable: true, unhealthyPodEvictionPolicy: true },
  },
  deployment: {
    metadata: METADATA,
    spec: {
      replicas: true,
      minReadySeconds: true,
      revisionHistoryLimit: true,
      progressDeadlineSeconds: true,
      strategy: true,
      template: { metadata: METADATA, spec: POD },
    },
  },
  horizontalPodAutoscaler: {
    metadata: METADATA,
    spec: { minReplicas: true, maxReplicas: true, metrics: true, behavior: true },
  },
};

/** kubectl writes it, and merging does not need it. */
const ORDER = '$setElementOrder/';
const SHOWN_MAX = 80;

export type Refuse = (details: Omit<Finding, 'code' | 'severity'>) => void;

/** All that an overlay says beyond the list. What says only what is there already is no change. */
export function checkFields(
  kind: PartKind,
  { overlay, base }: { readonly overlay: unknown; readonly base: unknown },
  refuse: Refuse,
): void {
  check(overlay, FIELDS[kind], { base, path: kind, refuse });
}

interface Place {
  readonly base: unknown;
  readonly path: string;
  readonly refuse: Refuse;
}

function check(value: unknown, rule: Rule, place: Place): void {
  if (rule === true || isDeepStrictEqual(value, place.base)) return;
  if (typeof rule === 'function') {
    const allowed = rule(value);
    if (allowed !== undefined) refused(value, allowed, place);
  } else if (isNamed(rule)) {
    checkNamed(value, rule[0], place);
  } else if (isFields(value)) {
    checkTree(value, rule, place);
  } else {
    refused(value, `an object of ${Object.keys(rule).join(', ')}`, place);
  }
}

function checkTree(value: Fields, tree: Tree, { base, path, refuse }: Place): void {
  for (const [field, inner] of Object.entries(value)) {
    if (field.startsWith(ORDER)) continue;
    const before = isFields(base) && Object.hasOwn(base, field) ? base[field] : undefined;
    const at = { base: before, path: `${path}.${field}`, refuse };
    const rule = Object.hasOwn(tree, field) ? tree[field] : undefined;
    if (rule !== undefined) check(inner, rule, at);
    // A directive takes away what it is not said of.
    else if (field.startsWith('$') || isChange(field, inner, before)) {
      refused(inner, Object.keys(tree).join(', '), at);
    }
  }
}

/** A copy of what is there often comes along. */
function isChange(field: string, wanted: unknown, before: unknown): boolean {
  const base = before === undefined ? {} : { [field]: before };
  return !isDeepStrictEqual(strategicMerge(base, { [field]: wanted }), base);
}

function checkNamed(value: unknown, { key, refusal, item }: Named, place: Place): void {
  if (!Array.isArray(value)) {
    refused(value, `a list of objects with "${key}"`, place);
    return;
  }
  const bases = Array.isArray(place.base) ? (place.base as readonly unknown[]) : [];
  for (const [index, one] of value.entries()) {
    const name = isFields(one) ? one[key] : undefined;
    const base = bases.find((other) => isFields(other) && other[key] === name);
    const at = { ...place, base, path: `${place.path}[${index}]` };
    const allowed = typeof name === 'string' ? refusal(name) : `an object with "${key}"`;
    if (isFields(one) && allowed === undefined) checkTree(one, item, at);
    else if (!isDeepStrictEqual(one, base)) refused(one, allowed ?? 'an object', at);
  }
}

function refused(value: unknown, allowed: string, { path, refuse }: Place): void {
  refuse({
    path,
    message: 'is not for a Gateway to say',
    found: (JSON.stringify(value) ?? 'nothing').slice(0, SHOWN_MAX),
    allowed,
    fix: 'take it out, or have whoever runs the mesh write it into the defaults of the class',
  });
}

/** Without one, what bounds the program has an end. */
function profile(value: unknown): string | undefined {
  const isOne = isFields(value) && typeof value['type'] === 'string';
  return isOne ? undefined : 'a profile, with its type';
}

/** What a device plugin gives is a right on the node. */
function resourcesOfPods(value: unknown): string | undefined {
  if (value === null) return undefined;
  const isPlain = isFields(value) && Object.keys(value).every((name) => RESOURCES.has(name));
  return isPlain ? undefined : HOST_FIELDS;
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNamed(rule: Rule): rule is readonly [Named] {
  return Array.isArray(rule);
}
