/** Objects of every kind that concern each other in every way: what the differential oracle writes and takes away. */
import type { MeshObject } from '@ambit/api';

import {
  gateway,
  httpRoute,
  namespace,
  networking,
  parsed,
  pod,
  policy,
  service,
  slice,
  waypointPod,
} from './objects.testing.ts';

const BINDING = 'ambient.istio.io/waypoint-inbound-binding';
export const SPACES = ['shop', 'infra'] as const;
const METHODS = [{ to: [{ operation: { methods: ['GET'] } }] }];
const RANDOM = { trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } };
const CALLER = [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/a'] } }] }];

function peer(name: string, spec: unknown, space: string): MeshObject {
  const metadata = { name, namespace: space };
  return parsed({ apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata, spec });
}

function gatewayClass(name: string, binding: string): MeshObject {
  const object = parsed({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GatewayClass',
    metadata: { name },
    spec: { controllerName: 'example.com/proxies' },
  });
  // Past the parser, which refuses some of them: as a stand-in has it.
  const metadata = { ...object.metadata, annotations: { [BINDING]: binding } };
  return { ...object, metadata } as MeshObject;
}

/** Every object that an operation may write; several share a key and differ in content. */
export function universe(): readonly MeshObject[] {
  const objects: MeshObject[] = [
    gateway('shared', {
      namespace: 'infra',
      from: 'All',
      labels: { 'istio.io/waypoint-for': 'all' },
    }),
    gateway('shared', { namespace: 'infra', from: 'Same' }),
    gateway('shared', {
      namespace: 'infra',
      from: 'All',
      addresses: ['10.9.0.2'],
      annotations: { [BINDING]: 'PROXY/15088' },
    }),
    gateway('shared', { namespace: 'infra', className: 'other', annotations: {} }),
    gatewayClass('other', 'NONE/8080'),
    gatewayClass('other', 'nonsense'),
    gatewayClass('istio-waypoint', 'PROXY'),
    waypointPod('shared', 'infra'),
    waypointPod('shared', 'infra', false),
    pod('shared-0', '10.0.9.9', {
      namespace: 'infra',
      account: 'shared',
      labels: { 'gateway.networking.k8s.io/gateway-name': 'shared' },
    }),
    policy('mesh', { rules: METHODS }, { namespace: 'istio-system' }),
    policy('mesh', { action: 'DENY', rules: CALLER }, { namespace: 'istio-system' }),
    policy(
      'class',
      {
        targetRefs: [
          { group: 'gateway.networking.k8s.io', kind: 'GatewayClass', name: 'istio-waypoint' },
        ],
        rules: METHODS,
      },
      { namespace: 'istio-system' },
    ),
    peer('default', { mtls: { mode: 'STRICT' } }, 'istio-system'),
    parsed({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'node1', labels: { 'topology.kubernetes.io/zone': 'z' } },
    }),
  ];
  for (const space of SPACES) {
    for (const labels of [
      {},
      { 'istio.io/dataplane-mode': 'ambient' },
      {
        'istio.io/dataplane-mode': 'ambient',
        'istio.io/use-waypoint': 'shared',
        'istio.io/use-waypoint-namespace': 'infra',
      },
      { 'istio.io/dataplane-mode': 'ambient', 'istio.io/use-waypoint': 'none' },
    ]) {
      objects.push(namespace(space, labels));
    }
    objects.push(waypointPod('waypoint', space), waypointPod('waypoint', space, false));
    for (const [index, name] of ['a', 'b', 'c'].entries()) {
      for (const options of [
        {},
        { ready: false },
        { labels: { app: 'a', version: 'v2' } },
        { labels: { 'istio.io/dataplane-mode': 'none' } },
        { ports: { web: 9000 + index } },
      ]) {
        objects.push(
          pod(name, `10.${space.length}.0.${index + 1}`, { namespace: space, ...options }),
        );
      }
    }
    for (const name of ['a', 'b']) {
      objects.push(
        service(name, `10.9.${space.length}.1`, { namespace: space }),
        service(name, 'None', { namespace: space }),
        service(name, '10.9.0.2', {
          namespace: space,
          ports: [{ name: 'web', port: 80, targetPort: 'web' }],
        }),
        service(name, '10.9.0.2', {
          namespace: space,
          labels: { 'istio.io/use-waypoint': 'shared', 'istio.io/use-waypoint-namespace': 'infra' },
        }),
        policy(
          `on-${name}`,
          { selector: { matchLabels: { app: name } }, rules: CALLER },
          { namespace: space },
        ),
        policy(
          `on-${name}`,
          { selector: { matchLabels: { app: name } }, rules: METHODS },
          { namespace: space },
        ),
        policy(
          `to-${name}`,
          { targetRefs: [{ group: '', kind: 'Service', name }], rules: METHODS },
          { namespace: space },
        ),
        policy(
          `to-${name}`,
          { action: 'AUDIT', targetRefs: [{ group: '', kind: 'Service', name }], rules: METHODS },
          { namespace: space },
        ),
        networking(
          'VirtualService',
          name,
          { hosts: [name], http: [{ route: [{ destination: { host: 'b', subset: 'v2' } }] }] },
          space,
        ),
        networking(
          'VirtualService',
          name,
          {
            hosts: ['*.cluster.local'],
            http: [{ route: [{ destination: { host: 'a.infra.svc.cluster.local' } }] }],
          },
          space,
        ),
        networking(
          'DestinationRule',
          name,
          { host: name, subsets: [{ name: 'v2', labels: { version: 'v2' } }] },
          space,
        ),
        networking('DestinationRule', name, { host: name, ...RANDOM }, space),
        networking(
          'DestinationRule',
          `${name}-of-all`,
          { host: `${name}.shop.svc.cluster.local`, exportTo: ['.'], ...RANDOM },
          space,
        ),
        networking('DestinationRule', `${name}-of-all`, { host: '*.example', ...RANDOM }, space),
        networking(
          'VirtualService',
          `${name}-ext`,
          { hosts: ['ext.example'], http: [{ route: [{ destination: { host: 'ext.example' } }] }] },
          space,
        ),
        httpRoute(name, name, 'b', space),
      );
    }
    for (const endpoints of [
      [{ addresses: [`10.${space.length}.0.1`] }, { addresses: ['192.0.2.7'], nodeName: 'node1' }],
      [{ addresses: ['10.4.0.2'], conditions: { ready: false } }, { addresses: ['192.0.2.1'] }],
      [{ addresses: ['10.4.0.3'], targetRef: { kind: 'Pod', name: 'c', namespace: 'shop' } }],
    ]) {
      objects.push(
        slice('bare', endpoints, { namespace: space, service: 'bare' }),
        slice('of-a', endpoints, { namespace: space, service: 'a' }),
      );
    }
    objects.push(
      service('bare', '10.9.0.7', { namespace: space, selector: {} }),
      service('bare', '10.9.0.7', { namespace: space, selector: { app: 'b' } }),
      service('bare', '10.9.0.7', {
        namespace: space,
        selector: {},
        labels: { 'istio.io/use-waypoint': 'shared', 'istio.io/use-waypoint-namespace': 'infra' },
      }),
      policy('wide', {}, { namespace: space }),
      policy('wide', { rules: METHODS }, { namespace: space }),
      peer('default', { mtls: { mode: 'STRICT' } }, space),
      peer(
        'ports',
        {
          selector: { matchLabels: { app: 'a' } },
          mtls: { mode: 'UNSET' },
          portLevelMtls: { 8080: { mode: 'STRICT' } },
        },
        space,
      ),
      networking('WorkloadEntry', 'vm', { address: '192.0.2.1', labels: { app: 'a' } }, space),
      networking(
        'ServiceEntry',
        'ext',
        {
          hosts: ['ext.example'],
          resolution: 'STATIC',
          ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
          endpoints: [{ address: '192.0.2.9' }],
        },
        space,
      ),
      networking(
        'ServiceEntry',
        'ext',
        {
          hosts: ['ext.example', 'more.example'],
          resolution: 'DNS',
          ports: [{ number: 443, name: 'tls', protocol: 'TLS' }],
        },
        space,
      ),
      networking(
        'ServiceEntry',
        'other',
        {
          hosts: ['ext.example'],
          resolution: 'STATIC',
          ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
          workloadSelector: { labels: { app: 'a' } },
        },
        space,
      ),
    );
  }
  return objects;
}
