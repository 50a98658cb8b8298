/** One rich, valid object of every kind, as people write it. Tests grow theirs from these. */
const meta = (name: string) => ({ name, namespace: 'shop', labels: { app: name } });
const destination = { host: 'reviews', subset: 'v1', port: { number: 9080 } };
const podSpec = {
  serviceAccountName: 'reviews',
  nodeName: 'n1',
  containers: [
    {
      name: 'main',
      image: 'x',
      command: ['node', 'a.js'],
      args: ['--x'],
      env: [{ name: 'A', value: 'b' }],
      ports: [{ name: 'http', containerPort: 8080 }],
      readinessProbe: { httpGet: { path: '/ready', port: 'http' }, periodSeconds: 2 },
    },
  ],
};
const trafficPolicy = {
  loadBalancer: { simple: 'ROUND_ROBIN' },
  connectionPool: {
    tcp: {
      maxConnections: 100,
      connectTimeout: '5s',
      tcpKeepalive: { probes: 3, time: '60s', interval: '10s' },
    },
    http: {
      http1MaxPendingRequests: 50,
      maxRequestsPerConnection: 1,
      idleTimeout: '0s',
      useClientProtocol: true,
    },
  },
  outlierDetection: {
    consecutive5xxErrors: 5,
    interval: '30s',
    baseEjectionTime: '30s',
    maxEjectionPercent: 50,
  },
  tls: { mode: 'ISTIO_MUTUAL' },
};
const headers = {
  request: { set: { 'x-a': 'b' }, add: { 'x-c': 'd' }, remove: ['x-e'] },
  response: { remove: ['server'] },
};

export const SAMPLES: readonly Record<string, unknown>[] = [
  {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'shop', labels: { 'istio.io/dataplane-mode': 'ambient' } },
  },
  { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } },
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: meta('reviews') },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      ...meta('reviews'),
      uid: 'u',
      generation: 2,
      creationTimestamp: '2026-01-31T12:00:00.123Z',
    },
    spec: {
      selector: { app: 'reviews' },
      ports: [
        { name: 'http', port: 9080, targetPort: 'http' },
        { port: 53, protocol: 'UDP' },
      ],
      clusterIPs: ['10.96.0.7', 'fd00::7'],
      trafficDistribution: 'PreferClose',
    },
  },
  {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...meta('reviews-1'),
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'Deployment', name: 'reviews', uid: 'u', controller: true },
      ],
    },
    spec: podSpec,
    status: {
      phase: 'Running',
      podIPs: [{ ip: '10.0.0.7' }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  },
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { ...meta('reviews-1'), labels: { 'kubernetes.io/service-name': 'reviews' } },
    addressType: 'IPv4',
    endpoints: [
      { addresses: ['192.0.2.1'], conditions: { ready: true }, nodeName: 'n1' },
      { addresses: ['10.0.0.7'], conditions: {}, targetRef: { kind: 'Pod', name: 'reviews-1' } },
      { addresses: ['192.0.2.2'], conditions: { ready: false } },
    ],
    ports: [{ name: 'http', port: 9080, protocol: 'TCP' }],
  },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: meta('reviews'),
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: 'reviews' } },
      template: { metadata: { labels: { app: 'reviews' } }, spec: podSpec },
    },
  },
  {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: meta('reviews'),
    spec: {
      hosts: ['reviews', '*.reviews.example'],
      http: [
        {
          name: 'jason',
          match: [
            {
              uri: { prefix: '/api' },
              ignoreUriCase: true,
              method: { exact: 'GET' },
              headers: { 'end-user': { exact: 'jason' }, labels: {}, cookie: { regex: '.*x.*' } },
              withoutHeaders: { 'x-no': {} },
              queryParams: { q: { exact: '' } },
              port: 9080,
              sourceLabels: { app: 'a' },
              sourceNamespace: 'shop',
            },
          ],
          route: [{ destination, headers }],
          rewrite: { uriRegexRewrite: { match: '^/api/(.*)', rewrite: '/\\1' }, authority: 'x' },
          timeout: '1.5s',
          retries: { attempts: 3, perTryTimeout: '0.5s', retryOn: '5xx,503', backoff: '25ms' },
          fault: {
            delay: { percentage: { value: 0.5 }, fixedDelay: '5s' },
            abort: { percentage: { value: 10 }, grpcStatus: 'UNAVAILABLE' },
          },
          mirrors: [{ destination, percentage: { value: 1 } }],
          corsPolicy: {
            allowOrigins: [{ exact: 'https://a' }],
            maxAge: '24h',
            allowMethods: ['GET'],
          },
          headers,
        },
        { match: [{ uri: { exact: '/old' } }], redirect: { uri: '/new', redirectCode: 308 } },
        {
          match: [{ uri: { exact: '/ok' } }],
          directResponse: { status: 200, body: { bytes: 'b2s=' } },
        },
        {
          route: [
            { destination, weight: 80 },
            { destination: { host: 'b' }, weight: 20 },
          ],
          mirror: { host: 'c' },
          mirrorPercentage: { value: 5 },
        },
      ],
      tcp: [
        { match: [{ port: 3306, destinationSubnets: ['10.0.0.0/8'] }], route: [{ destination }] },
      ],
      tls: [{ match: [{ sniHosts: ['a.reviews.example'], port: 443 }], route: [{ destination }] }],
      exportTo: ['.'],
    },
  },
  {
    apiVersion: 'networking.istio.io/v1beta1',
    kind: 'DestinationRule',
    metadata: meta('reviews'),
    spec: {
      host: 'reviews',
      trafficPolicy: {
        ...trafficPolicy,
        portLevelSettings: [
          {
            port: { number: 9080 },
            loadBalancer: { consistentHash: { httpCookie: { name: 'c', ttl: '0s' }, maglev: {} } },
          },
        ],
        retryPolicy: { attempts: 2, retryOn: 'reset' },
        timeout: { http: '3s' },
      },
      subsets: [
        { name: 'v1', labels: { version: 'v1' }, trafficPolicy },
        { name: 'v2', labels: { version: 'v2' } },
      ],
    },
  },
  {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'ServiceEntry',
    metadata: meta('ext'),
    spec: {
      hosts: ['api.example.com'],
      addresses: ['240.0.0.1'],
      ports: [{ number: 443, name: 'tls', protocol: 'TLS', targetPort: 8443 }],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      endpoints: [
        {
          address: '192.0.2.1',
          ports: { tls: 8443 },
          labels: { a: 'b' },
          locality: 'r/z',
          weight: 3,
        },
      ],
      subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/ext'],
    },
  },
  {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: meta('vm'),
    spec: { address: '192.0.2.7', ports: { http: 80 }, serviceAccount: 'vm', network: 'n' },
  },
  {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { ...meta('reviews'), annotations: { 'istio.io/dry-run': 'true' } },
    spec: {
      selector: { matchLabels: { app: 'reviews' } },
      action: 'DENY',
      rules: [
        {
          from: [
            {
              source: {
                principals: ['cluster.local/ns/shop/sa/a', '*'],
                notNamespaces: ['x*'],
                ipBlocks: ['10.0.0.0/8'],
              },
            },
          ],
          to: [
            {
              operation: {
                methods: ['GET'],
                paths: ['/a*', '/b/{*}/c/{**}'],
                ports: ['9080'],
                notHosts: ['x'],
              },
            },
          ],
          when: [
            { key: 'request.headers[x-a]', values: ['b'] },
            { key: 'destination.port', notValues: ['80'] },
          ],
        },
        {},
      ],
    },
  },
  {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: meta('reviews'),
    spec: {
      selector: { matchLabels: { app: 'reviews' } },
      mtls: { mode: 'STRICT' },
      portLevelMtls: { 9080: { mode: 'PERMISSIVE' } },
    },
  },
  {
    apiVersion: 'security.istio.io/v1',
    kind: 'RequestAuthentication',
    metadata: meta('jwt'),
    spec: {
      targetRefs: [{ kind: 'Service', name: 'reviews' }],
      jwtRules: [{ issuer: 'https://a', fromHeaders: [{ name: 'x' }] }],
    },
  },
  {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { ...meta('waypoint'), labels: { 'istio.io/waypoint-for': 'all' } },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [
        {
          name: 'mesh',
          port: 15008,
          protocol: 'HBONE',
          allowedRoutes: {
            namespaces: { from: 'Selector', selector: { matchLabels: { a: 'b' } } },
          },
        },
      ],
    },
  },
  {
    apiVersion: 'gateway.networking.k8s.io/v1beta1',
    kind: 'HTTPRoute',
    metadata: meta('reviews'),
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: 'reviews', port: 9080 }],
      rules: [
        {
          matches: [
            {
              path: { type: 'Exact', value: '/a' },
              headers: [{ name: 'x', value: 'y' }],
              queryParams: [{ type: 'RegularExpression', name: 'q', value: '.+' }],
              method: 'GET',
            },
          ],
          filters: [
            {
              type: 'RequestHeaderModifier',
              requestHeaderModifier: { set: [{ name: 'a', value: 'b' }], remove: ['c'] },
            },
            {
              type: 'URLRewrite',
              urlRewrite: {
                hostname: 'h',
                path: { type: 'ReplaceFullPath', replaceFullPath: '/z' },
              },
            },
            {
              type: 'RequestMirror',
              requestMirror: {
                backendRef: { name: 'b', port: 80 },
                fraction: { numerator: 1, denominator: 3 },
              },
            },
          ],
          backendRefs: [
            { name: 'reviews-v1', port: 9080, weight: 9 },
            { name: 'reviews-v2', port: 9080, weight: 1, filters: [] },
          ],
          timeouts: { request: '10s', backendRequest: '2s' },
          retry: { codes: [503], attempts: 3, backoff: '100ms' },
        },
        {
          filters: [
            {
              type: 'RequestRedirect',
              requestRedirect: {
                scheme: 'https',
                path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' },
              },
            },
          ],
        },
      ],
    },
  },
  {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GatewayClass',
    metadata: { name: 'ambit-waypoint' },
    spec: { controllerName: 'ambit.io/mesh-controller', description: 'Waypoints of the mesh.' },
  },
  {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GRPCRoute',
    metadata: meta('ratings'),
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: 'ratings', port: 9090 }],
      rules: [
        {
          matches: [
            {
              method: { type: 'Exact', service: 'shop.v1.Ratings', method: 'Get' },
              headers: [{ name: 'version', value: 'two' }],
            },
            { method: { type: 'RegularExpression', service: 'shop\\.v[12]\\..+' } },
          ],
          filters: [
            {
              type: 'RequestHeaderModifier',
              requestHeaderModifier: { set: [{ name: 'a', value: 'b' }], remove: ['c'] },
            },
          ],
          backendRefs: [
            { name: 'ratings-v1', port: 9090, weight: 9 },
            { name: 'ratings-v2', port: 9090, weight: 1 },
          ],
        },
      ],
    },
  },
  {
    apiVersion: 'gateway.networking.k8s.io/v1beta1',
    kind: 'ReferenceGrant',
    metadata: meta('from-edge'),
    spec: {
      from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'edge' }],
      to: [{ group: '', kind: 'Service', name: 'reviews' }],
    },
  },
  {
    apiVersion: 'gateway.networking.k8s.io/v1alpha2',
    kind: 'TCPRoute',
    metadata: meta('db'),
    spec: {
      parentRefs: [{ group: 'core', kind: 'Service', name: 'db' }],
      rules: [{ backendRefs: [{ name: 'db-v2', port: 3306 }] }],
    },
  },
];
