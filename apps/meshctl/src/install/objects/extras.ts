/** Objects that only some installations want: network policies, STRICT for the whole mesh, the namespace itself. */
import { comment, type Node, type NodeMap, releaseNamespace, value, when } from '../symbolic.ts';
import { AGENT, CONTROLLER, labelsOf, metadataOf, rootNamespace, selectorOf } from './common.ts';

/**
 * Not part of the chart: Helm makes the namespace itself. The agent needs `privileged`: host folders, process namespace and
 * SYS_ADMIN are all beyond `baseline`.
 */
export function installNamespace(): Node {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: releaseNamespace,
      labels: {
        'pod-security.kubernetes.io/enforce': 'privileged',
        'pod-security.kubernetes.io/audit': 'privileged',
        'pod-security.kubernetes.io/warn': 'privileged',
      },
    },
  };
}

export function strictPeerAuthentication(): Node {
  return when(value('strictMtls'), {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name: 'ambit-strict', namespace: rootNamespace, labels: labelsOf(CONTROLLER) },
    spec: { mtls: { mode: 'STRICT' } },
  });
}

export function controllerNetworkPolicy(): Node {
  return policy(CONTROLLER, [
    comment(
      'Agents and waypoints of any namespace: what they may know is decided by their certificate.',
      ingress(15_012),
    ),
    comment('The API server, which has no pod address.', ingress(15_017)),
    comment('Metrics, and the probes of nodes.', ingress(15_014, 15_021)),
  ]);
}

export function agentNetworkPolicy(): Node {
  return policy(AGENT, [comment('Metrics, and the probes of nodes.', ingress(15_020, 15_021))]);
}

function policy(component: string, rules: readonly Node[]): Node {
  return when(value('networkPolicy.enabled'), {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: metadataOf(component, component),
    spec: {
      podSelector: { matchLabels: selectorOf(component) },
      policyTypes: ['Ingress'],
      ingress: rules,
    },
  });
}

function ingress(...ports: readonly number[]): NodeMap {
  return { ports: ports.map((port) => ({ port, protocol: 'TCP' })) };
}
