import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { AdminClient } from '../admin-client.ts';
import { deploymentOf } from '../target/cluster-mesh.ts';
import type { MeshTarget, ProxyAdmin } from '../target/mesh-target.ts';
import { runMeshctl } from '../testing.ts';
import { findProxies } from './find-proxies.ts';
import { NOUNS } from './nouns.ts';

const folder = mkdtempSync(join(tmpdir(), 'meshctl-dump-'));
after(() => rmSync(folder, { recursive: true }));

const AGENT_DUMP = {
  config: { nodeName: 'n1' },
  workloads: [
    {
      uid: 'u1',
      name: 'reviews-1',
      namespace: 'shop',
      node: 'n1',
      protocol: 'HBONE',
      workloadIps: ['10.0.0.2'],
      waypoint: { destination: 'shop/waypoint.shop.svc.cluster.local', hboneMtlsPort: 15_008 },
    },
  ],
  services: [
    {
      name: 'reviews',
      namespace: 'shop',
      hostname: 'reviews.shop.svc.cluster.local',
      vips: ['/10.96.0.1'],
      ports: { 80: 8080 },
      endpoints: { u1: { workloadUid: 'u1', status: 'Unhealthy', port: { 80: 8080 } } },
    },
  ],
  policies: [{ name: 'deny', namespace: 'shop', action: 'Deny', scope: 'Namespace' }],
  certificates: [
    { identity: 'spiffe://td/ns/shop/sa/new', state: 'Initializing', certChain: [], rootCerts: [] },
    {
      identity: 'spiffe://td/ns/shop/sa/old',
      state: 'Available',
      certChain: [
        {
          serialNumber: '7',
          validFrom: '2001-01-01T00:00:00Z',
          expirationTime: '2001-01-02T00:00:00Z',
        },
      ],
      rootCerts: [],
    },
  ],
  workloadState: {
    p1: {
      state: 'Up',
      info: { name: 'reviews-1', namespace: 'shop' },
      connections: {
        inbound: [
          {
            src: '10.0.0.1:4',
            originalDst: '10.0.0.2:8080',
            actualDst: '10.0.0.2:8080',
            protocol: 'HBONE',
          },
        ],
        outbound: [],
      },
    },
  },
};

const WAYPOINT_DUMP = {
  config: { gateway: { namespace: 'shop', name: 'waypoint' } },
  workloads: [
    {
      uid: 'u1',
      name: 'reviews-1',
      namespace: 'shop',
      tunnelProtocol: 'HBONE',
      status: 'HEALTHY',
      addresses: ['fd00::2'],
      services: {
        'shop/reviews.shop.svc.cluster.local': [{ servicePort: 80, targetPort: 0 }],
      },
    },
  ],
  services: [
    {
      name: 'reviews',
      namespace: 'shop',
      hostname: 'reviews.shop.svc.cluster.local',
      addresses: [{ network: '', address: '10.96.0.1' }],
      ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 'HTTP11' }],
      waypoint: { destination: { kind: 'hostname' } },
    },
  ],
  objects: [
    {
      kind: 'VirtualService',
      metadata: { namespace: 'shop', name: 'reviews' },
      spec: {
        hosts: ['reviews'],
        http: [
          {
            name: 'canary',
            match: [{ uri: { kind: 'prefix', value: '/api' }, headers: { 'end-user': {} } }],
            route: [{ destination: { host: 'reviews', subset: 'v2' }, weight: 10 }],
          },
          { match: [], route: [], redirect: {} },
        ],
      },
    },
    {
      kind: 'HTTPRoute',
      metadata: { namespace: 'shop', name: 'r' },
      spec: {
        parentRefs: [{ kind: 'Service', name: 'reviews' }],
        hostnames: [],
        rules: [
          { matches: [{ path: { type: 'Exact', value: '/a' }, method: 'GET' }], backendRefs: [] },
        ],
      },
    },
  ],
  certificates: [],
  clusters: [
    [{ name: 'outbound|80|v2|reviews.shop', active: 1, ejected: ['a'], objects: [] }],
    [
      {
        name: 'outbound|80|v2|reviews.shop',
        active: 2,
        ejected: [],
        objects: ['DestinationRule/shop/reviews'],
      },
    ],
    'no list',
  ],
};

function saved(name: string, dump: unknown): string {
  const path = join(folder, `${name}.json`);
  writeFileSync(path, JSON.stringify(dump));
  return path;
}

const agentFile = saved('agent', AGENT_DUMP);
const waypointFile = saved('waypoint', WAYPOINT_DUMP);

describe('meshctl proxy-config of a saved dump', { concurrency: 2 }, () => {
  for (const [args, file, expected] of [
    [['workloads'], agentFile, /^shop +reviews-1 +10\.0\.0\.2 +n1 +waypoint +HBONE$/m],
    [['services'], agentFile, /^shop +reviews +10\.96\.0\.1 +None +0\/1$/m],
    [['services'], waypointFile, /^shop +reviews +10\.96\.0\.1 +None +1\/1$/m],
    [['policy'], agentFile, /^shop +deny +Deny +Namespace$/m],
    [
      ['ep'],
      agentFile,
      /^10\.0\.0\.2:8080 +UNHEALTHY +shop\/reviews-1 +HBONE +outbound\|80\|\|reviews\.shop/m,
    ],
    [['endpoints'], waypointFile, /^\[fd00::2\]:80 +HEALTHY/m],
    [
      ['secret'],
      agentFile,
      /sa\/new +Leaf +Initializing +false[\s\S]*sa\/old +Leaf +Available +false +7 .*expired$/m,
    ],
    [
      ['connections'],
      agentFile,
      /^reviews-1\.shop +Inbound +10\.0\.0\.2:8080 +10\.0\.0\.1:4 +- +HBONE$/m,
    ],
    [['listeners'], agentFile, /^reviews-1\.shop +0\.0\.0\.0 +15008 /m],
    [['l'], waypointFile, /^10\.96\.0\.1 +80 +HTTP11 +outbound\|80\|\|reviews/m],
    [
      ['r'],
      waypointFile,
      /canary +reviews +\/api\* and header end-user +reviews\/v2 10%\n.*http\[1\] +reviews +\* +redirect\n.*rules\[0\] +Service\/reviews +\/a and method=GET +nobody/,
    ],
    [['c'], waypointFile, /^reviews\.shop +80 +v2 +outbound +3 +a +shop\/reviews$/m],
    [['endpoints', '--port', '81'], agentFile, /CLUSTER\n$/],
    [['services', '--service-namespace', 'other'], agentFile, /ENDPOINTS\n$/],
    [['services', '--fqdn', 'reviews'], agentFile, /^shop +reviews/m],
    [['all'], waypointFile, /^ROUTES$[\s\S]*^CLUSTERS$/m],
  ] as const) {
    it(`${args.join(' ')} of ${file === agentFile ? 'an agent' : 'a waypoint'}`, async () => {
      const { stdout, stderr, code } = await runMeshctl(['pc', ...args, '-f', file]);
      assert.match(stdout, expected, stderr);
      assert.equal(code, 0);
    });
  }

  for (const [args, said] of [
    [['routes', '-f', agentFile], /fix: agents carry connections/],
    [['connections', '-f', waypointFile], /fix: a waypoint counts them/],
    [['services', '-f', saved('other', { a: 1 })], /is no config_dump/],
    [['ecds'], /no Wasm/],
  ] as const) {
    it(`answers 1 to ${args[0]} where there is none`, async () => {
      const { stderr, code } = await runMeshctl(['zc', ...args]);
      assert.match(stderr, said);
      assert.equal(code, 1);
    });
  }

  it('gives data with the name of the proxy', async () => {
    const { stdout } = await runMeshctl(['pc', 'routes', '-f', waypointFile, '-o', 'json']);
    const { items } = JSON.parse(stdout) as { items: { proxy: string }[] };
    assert.deepEqual(new Set(items.map(({ proxy }) => proxy)), new Set(['shop/waypoint']));
  });
});

it('every view keeps to its columns, also of an empty dump', () => {
  for (const { name, agent, waypoint } of NOUNS) {
    for (const [kind, view, json] of [
      ['node-agent', agent, AGENT_DUMP],
      ['waypoint', waypoint, WAYPOINT_DUMP],
    ] as const) {
      if (view === undefined) continue;
      for (const { cells } of view.rows({ kind, name: 'x', json }, 0)) {
        assert.ok(cells.length <= view.columns.length, name);
      }
      for (const broken of [
        undefined,
        null,
        1,
        [],
        { workloads: 1, services: [null], objects: {} },
      ]) {
        view.rows({ kind, name: 'x', json: broken }, 0);
      }
    }
  }
});

describe('deploymentOf', () => {
  const HASH = { 'pod-template-hash': '5f' };
  for (const [title, kind, owner, labels, found] of [
    ['the ReplicaSet without its hash', 'ReplicaSet', 'front-5f', HASH, 'shop/front'],
    ['a name that ends as a hash', 'ReplicaSet', 'front-5f-5f', HASH, 'shop/front-5f'],
    ['a ReplicaSet of nobody', 'ReplicaSet', 'front', HASH, undefined],
    ['no hash', 'ReplicaSet', 'front-', {}, undefined],
    ['another owner', 'StatefulSet', 'front-5f', HASH, undefined],
  ] as const) {
    it(`reads ${title}`, () => {
      const ownerReferences = [{ apiVersion: 'apps/v1', kind, name: owner, uid: 'u' }];
      const metadata = { namespace: 'shop', name: 'x', labels, ownerReferences };
      assert.equal(deploymentOf({ metadata }).deployment, found);
    });
  }
});

describe('findProxies', () => {
  const proxy = (
    kind: ProxyAdmin['kind'],
    name: string,
    pod: string,
    isReady = true,
  ): ProxyAdmin => ({
    kind,
    name,
    pod,
    isReady,
    client: new AdminClient('/nobody.sock'),
  });
  const all = [
    proxy('node-agent', 'n1', 'istio-system/agent-a'),
    proxy('node-agent', 'n2', 'istio-system/agent-b'),
    proxy('waypoint', 'shop/waypoint', 'shop/waypoint-0', false),
    proxy('waypoint', 'shop/waypoint', 'shop/waypoint-1'),
    { ...proxy('waypoint', 'shop/named', 'shop/front-5f-x'), deployment: 'shop/front' },
  ];
  const mesh = (proxies: readonly ProxyAdmin[]): MeshTarget => ({
    where: 'here',
    meshNamespace: 'istio-system',
    namespace: 'default',
    controllers: () => Promise.resolve([]),
    proxies: () => Promise.resolve(proxies),
    nodeOf: (namespace, pod) =>
      Promise.resolve(namespace === 'shop' && pod === 'reviews.v1' ? 'n2' : undefined),
  });
  const query = { kinds: ['node-agent', 'waypoint'], isOfEach: false } as const;

  for (const [name, namespace, pod] of [
    ['n1', undefined, 'istio-system/agent-a'],
    ['node/n2', undefined, 'istio-system/agent-b'],
    ['agent-b.istio-system', undefined, 'istio-system/agent-b'],
    ['istio-system/agent-b', undefined, 'istio-system/agent-b'],
    ['waypoint', undefined, 'shop/waypoint-1'],
    ['deploy/waypoint', 'shop', 'shop/waypoint-1'],
    ['deploy/front', 'shop', 'shop/front-5f-x'],
    ['deploy/named', 'shop', 'shop/front-5f-x'],
    ['shop/front', undefined, 'shop/front-5f-x'],
    ['waypoint-0', 'shop', 'shop/waypoint-0'],
    ['reviews.v1.shop', undefined, 'istio-system/agent-b'],
    ['pod/reviews.v1', 'shop', 'istio-system/agent-b'],
  ] as const) {
    it(`finds ${name}${namespace === undefined ? '' : ` in ${namespace}`}`, async () => {
      const { proxies } = await findProxies(mesh(all), { ...query, name, namespace });
      assert.deepEqual(
        proxies.map((found) => found.pod),
        [pod],
      );
    });
  }

  for (const [title, given, proxies, said] of [
    ['nobody of that name', { name: 'n3' }, all, /no agent, waypoint or pod "n3"/],
    [
      'a waypoint of another namespace',
      { name: 'deploy/waypoint', namespace: 'a' },
      all,
      /no agent/,
    ],
    ['a node without agent', { node: 'n3' }, all, /no agent runs on node/],
    ['a mesh without proxies', {}, [], /no agent and no waypoint/],
    ['waypoints when there is none', { kinds: ['waypoint'] }, all.slice(0, 2), /whose/],
  ] as const) {
    it(`refuses ${title}`, async () => {
      await assert.rejects(findProxies(mesh(proxies), { ...query, ...given }), { message: said });
    });
  }

  it('asks one agent, or all where each has its own', async () => {
    assert.equal((await findProxies(mesh(all), query)).proxies.length, 1);
    assert.equal((await findProxies(mesh(all), { ...query, isOfEach: true })).proxies.length, 2);
    const { proxies } = await findProxies(mesh(all.slice(0, 4)), {
      ...query,
      kinds: ['waypoint'],
    });
    assert.deepEqual(
      proxies.map(({ pod }) => pod),
      ['shop/waypoint-1'],
    );
  });
});
