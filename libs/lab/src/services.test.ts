import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseObject, type Service } from '@ambit/api';
import { ServiceAddresses } from './addresses.ts';
import { type Backend, clusterIPsOf, type NamedService, rulesOf, zoneOf } from './services.ts';

function service(spec: object, name = 'web'): Service {
  const { object } = parseObject({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'shop' },
    spec,
  });
  assert.ok(object?.kind === 'Service');
  return object;
}

function backend(isReady: boolean, labels: Record<string, string>, namespace = 'shop'): Backend {
  return {
    isReady,
    addresses: ['10.241.1.2', 'fd00:241:1::2'],
    plan: {
      namespace,
      name: 'pod',
      labels,
      annotations: {},
      ownerReferences: [],
      owner: 'Pod/shop/pod',
      revision: '',
      folder: '/',
      spec: {
        serviceAccountName: 'default',
        nodeName: '',
        hostNetwork: false,
        containers: [
          {
            name: 'web',
            command: [],
            args: [],
            env: [],
            ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
          },
        ],
      },
    },
  };
}

const PORTS = [{ name: 'http', port: 80, targetPort: 'http' }];
const SELECTOR = { app: 'web' };

describe('clusterIPsOf', () => {
  const pool = new ServiceAddresses();
  const families = (spec: object): string =>
    clusterIPsOf(service(spec), pool)
      .map((address) => (address.includes(':') ? '6' : address === 'None' ? 'none' : '4'))
      .join(' ');
  const table: [string, object, string][] = [
    ['nothing said', {}, '4 6'],
    ['IPv6 first', { ipFamilies: ['IPv6', 'IPv4'] }, '6 4'],
    ['one family', { ipFamilyPolicy: 'SingleStack' }, '4'],
    ['one family, IPv6', { ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv6'] }, '6'],
    ['headless', { clusterIP: 'None' }, 'none'],
    ['an alias', { type: 'ExternalName', externalName: 'example.com' }, ''],
    ['an address of its own', { clusterIP: '192.0.2.1' }, '4'],
  ];
  for (const [name, spec, expected] of table) {
    it(`${name}: [${expected}]`, () => {
      assert.equal(families({ ports: PORTS, ...spec }), expected);
    });
  }
});

describe('rulesOf', () => {
  const rulesFor = (spec: object, pods: readonly Backend[]): number[] =>
    rulesOf(
      [
        {
          service: service({ selector: SELECTOR, ports: PORTS, ...spec }),
          clusterIPs: ['10.242.1.1'],
        },
      ],
      pods,
    ).map((rule) => rule.endpoints.length);

  it('counts ready pods of the selector and namespace, by the number of the named port', () => {
    const named: NamedService = {
      service: service({ selector: SELECTOR, ports: PORTS }),
      clusterIPs: ['10.242.1.1'],
    };
    const [rule] = rulesOf([named], [backend(true, { app: 'web', more: 'labels' })]);
    assert.deepEqual(rule?.endpoints[0], { address: '10.241.1.2', port: 8080 });
  });

  const refused: [string, object, Backend][] = [
    ['not ready', {}, backend(false, { app: 'web' })],
    ['other labels', {}, backend(true, { app: 'api' })],
    ['another namespace', {}, backend(true, { app: 'web' }, 'other')],
    ['no selector', { selector: {} }, backend(true, { app: 'web' })],
    [
      'an unknown port',
      { ports: [{ port: 80, targetPort: 'grpc' }] },
      backend(true, { app: 'web' }),
    ],
  ];
  for (const [name, spec, pod] of refused) {
    it(`has no endpoint: ${name}`, () => {
      assert.deepEqual(rulesFor(spec, [pod]), [0]);
    });
  }

  it('publishes pods that are not ready where the service says so', () => {
    assert.deepEqual(
      rulesFor({ publishNotReadyAddresses: true }, [backend(false, { app: 'web' })]),
      [2],
    );
  });
});

describe('zoneOf', () => {
  it('names services by their addresses, headless ones by their pods, aliases by their target', () => {
    const zone = zoneOf(
      [
        { service: service({ ports: PORTS }), clusterIPs: ['10.242.1.1'] },
        {
          service: service({ selector: SELECTOR, clusterIP: 'None' }, 'pods'),
          clusterIPs: ['None'],
        },
        {
          service: service({ type: 'ExternalName', externalName: 'example.com' }, 'away'),
          clusterIPs: [],
        },
      ],
      [backend(true, { app: 'web' }), backend(false, { app: 'web' })],
      { clusterDomain: 'cluster.local', extra: { 'Example.COM': ['192.0.2.1'] } },
    );
    assert.deepEqual(zone.addresses.get('web.shop.svc.cluster.local'), ['10.242.1.1']);
    assert.deepEqual(zone.addresses.get('pods.shop.svc.cluster.local'), [
      '10.241.1.2',
      'fd00:241:1::2',
    ]);
    assert.equal(zone.aliases.get('away.shop.svc.cluster.local'), 'example.com');
    assert.deepEqual(zone.addresses.get('example.com'), ['192.0.2.1']);
  });
});
