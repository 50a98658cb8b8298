/** Objects and proxies that concern each other, which the oracle of `Enforced` lets come and go in any order. */

export const SYSTEM = 'istio-system';
const AMBIENT = { 'istio.io/dataplane-mode': 'ambient' };
const LABELS = { 'istio.io/use-waypoint': 'waypoint', ...AMBIENT };
const METHODS = [{ to: [{ operation: { methods: ['GET'] } }] }];
const CALLER = [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/a'] } }] }];

export type Json = Readonly<Record<string, unknown>>;

const written = (apiVersion: string, kind: string, metadata: Json, rest: Json): Json => ({
  ...{ apiVersion, kind, ...rest },
  metadata: { namespace: 'shop', uid: JSON.stringify(metadata), ...metadata },
});
const pod = (name: string, metadata: Json, ready = true): Json =>
  written(
    'v1',
    'Pod',
    { name, ...metadata },
    {
      spec: { nodeName: 'n', serviceAccountName: metadata['account'] ?? name, containers: [] },
      status: {
        phase: 'Running',
        podIPs: [{ ip: `10.0.0.${name.length}` }],
        conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
      },
    },
  );
const policy = (name: string, spec: Json): Json =>
  written('security.istio.io/v1', 'AuthorizationPolicy', { name }, { spec });
const gateway = (metadata: Json): Json =>
  written(
    'gateway.networking.k8s.io/v1',
    'Gateway',
    { name: 'waypoint', ...metadata },
    {
      spec: {
        gatewayClassName: 'istio-waypoint',
        listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
      },
    },
  );
const gatewayLabel = { 'gateway.networking.k8s.io/gateway-name': 'waypoint' };

/** Several share a key and differ in content. */
export const OBJECTS: readonly Json[] = [
  written('v1', 'Namespace', { name: 'shop', namespace: '', labels: AMBIENT }, {}),
  written('v1', 'Namespace', { name: 'shop', namespace: '', labels: LABELS }, {}),
  pod('web', { labels: { app: 'web' } }),
  pod('web', { labels: { app: 'web' } }, false),
  pod('waypoint', { labels: gatewayLabel }),
  pod('waypoint', { labels: gatewayLabel }, false),
  pod('agent-1', { namespace: SYSTEM, account: 'agent' }),
  policy('l4', { selector: { matchLabels: { app: 'web' } }, rules: CALLER }),
  policy('l4', { selector: { matchLabels: { app: 'db' } }, rules: CALLER, action: 'DENY' }),
  policy('l7', { selector: { matchLabels: { app: 'web' } }, rules: METHODS }),
  policy('l7', { selector: { matchLabels: { app: 'web' } }, rules: CALLER }),
  written(
    'security.istio.io/v1',
    'PeerAuthentication',
    { name: 'p' },
    {
      spec: { mtls: { mode: 'STRICT' } },
    },
  ),
  gateway({}),
  gateway({ annotations: { 'gateway.istio.io/service-account': 'front' } }),
  written(
    'v1',
    'Service',
    { name: 'web' },
    {
      spec: {
        clusterIP: '10.9.0.1',
        selector: { app: 'web' },
        ports: [{ name: 'http', port: 80 }],
      },
    },
  ),
  written(
    'networking.istio.io/v1',
    'VirtualService',
    // As that of a policy.
    { name: 'l4' },
    {
      spec: { hosts: ['web'], http: [{ route: [{ destination: { host: 'web' } }] }] },
    },
  ),
];

export const PROXIES = [
  { type: 'ztunnel', podName: 'agent-1', namespace: SYSTEM, account: 'agent' },
  { type: 'ztunnel', podName: 'agent-2', namespace: SYSTEM, account: 'agent' },
  { type: 'waypoint', podName: 'waypoint', namespace: 'shop', account: 'waypoint' },
  { type: 'waypoint', podName: 'front', namespace: 'shop', account: 'front' },
  // Neither is one, whatever it says.
  { type: 'waypoint', podName: 'web', namespace: 'shop', account: 'web' },
  { type: 'ztunnel', podName: 'web', namespace: 'shop', account: 'web' },
] as const;
