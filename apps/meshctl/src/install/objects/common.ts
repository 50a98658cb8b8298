/** What all objects of an installation have in common: names, labels, the pods' security. */
import {
  ifGiven,
  join,
  type Node,
  type NodeMap,
  orElse,
  releaseNamespace,
  releaseService,
  SPREAD_KEY,
  spread,
  value,
  when,
} from '../symbolic.ts';

export const PART_OF = 'ambit';
export const CONTROLLER = 'ambit-controller';
export const AGENT = 'ambit-node-agent';
/** Pods of the agent that take everything off their node, see `cleanupDaemonSet`. */
export const AGENT_CLEANUP = 'ambit-node-agent-cleanup';

/** Where mesh-wide objects are. */
export const rootNamespace = orElse(value('rootNamespace'), releaseNamespace);

export function labelsOf(component: string): NodeMap {
  return {
    'app.kubernetes.io/name': component,
    'app.kubernetes.io/part-of': PART_OF,
    'app.kubernetes.io/managed-by': releaseService,
    'istio.io/rev': value('revision'),
  };
}

/** By which Deployment, Service and the like find pods; never changes once installed. */
export function selectorOf(component: string): NodeMap {
  return { 'app.kubernetes.io/name': component, 'app.kubernetes.io/part-of': PART_OF };
}

export function metadataOf(name: string, component: string): NodeMap {
  return { name, namespace: releaseNamespace, labels: labelsOf(component) };
}

export function clusterMetadataOf(name: string, component: string): NodeMap {
  return { name, labels: labelsOf(component) };
}

export function imageOf(program: string): Node {
  return join(value('hub'), `/${program}:`, value('tag'));
}

/** Ambit's own pods are never captured: their traffic is the mesh. */
export function podLabels(component: string): NodeMap {
  return {
    ...labelsOf(component),
    'istio.io/dataplane-mode': 'none',
    'sidecar.istio.io/inject': 'false',
  };
}

export function podAnnotations(path: string, container: string, metricsPort: string): NodeMap {
  const scrape = (of: string): Node => when(value('monitoring.annotations'), of);
  return {
    'kubectl.kubernetes.io/default-container': container,
    'prometheus.io/scrape': scrape('true'),
    'prometheus.io/port': scrape(metricsPort),
    'prometheus.io/path': scrape('/metrics'),
    [SPREAD_KEY]: spread(path),
  };
}

export const imagePullSecrets = ifGiven('imagePullSecrets');

export function plainEnv(name: string, of: Node): NodeMap {
  return { name, value: of };
}

export function fieldEnv(name: string, fieldPath: string): NodeMap {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

/** `/healthz/ready` of every program. */
export function probe(period: number, failures: number): NodeMap {
  return {
    httpGet: { path: '/healthz/ready', port: 15_021 },
    periodSeconds: period,
    timeoutSeconds: 3,
    failureThreshold: failures,
  };
}
