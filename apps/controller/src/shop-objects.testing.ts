/** A namespace, its pods and policies, and who its agent is: what tests of the controller write. */
export interface ProxyIdentity {
  readonly type: 'ztunnel' | 'waypoint';
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: string;
  readonly node: string;
}

export const AGENT: ProxyIdentity = {
  type: 'ztunnel',
  namespace: 'istio-system',
  serviceAccount: 'ambit-node-agent',
  pod: 'agent-node1',
  node: 'node1',
};

export function pod(
  name: string,
  options: {
    readonly namespace?: string;
    readonly node?: string;
    readonly ip?: string;
    readonly account?: string;
    readonly labels?: Readonly<Record<string, string>>;
  } = {},
): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: options.namespace ?? 'shop',
      uid: `uid-${name}`,
      labels: options.labels ?? { app: name },
    },
    spec: {
      nodeName: options.node ?? 'node1',
      serviceAccountName: options.account ?? name,
      containers: [{ name: 'app' }],
    },
    status: {
      phase: 'Running',
      podIPs: [{ ip: options.ip ?? '10.0.0.1' }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
}

/** The namespace that everything here is in, enrolled. */
export const SHOP = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'shop', labels: { 'istio.io/dataplane-mode': 'ambient' } },
};

/** Of `shop`, for the pods of `reviews`; `extra` is what its one rule says besides. */
export function policy(
  name: string,
  principal: string,
  extra: Readonly<Record<string, unknown>> = {},
): unknown {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace: 'shop' },
    spec: {
      selector: { matchLabels: { app: 'reviews' } },
      rules: [{ from: [{ source: { principals: [principal] } }], ...extra }],
    },
  };
}

/** The agent of a node, as the cluster runs it. */
export function agentPod(identity: ProxyIdentity = AGENT): unknown {
  const { namespace, serviceAccount, pod: name, node } = identity;
  return pod(name, { namespace, account: serviceAccount, node, ip: '10.0.1.1' });
}
