/** A waypoint's Gateway that nobody can read: callers are kept from going past it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type MeshObject, parseObject } from '@ambit/api';
import { MeshModel } from '@ambit/model';

import { isStandIn, standInFor } from './stand-in.ts';

const BINDING = 'ambient.istio.io/waypoint-inbound-binding';
const OPTIONS = {
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  clusterDomain: 'cluster.local',
  clusterId: 'Kubernetes',
  network: '',
};
const ADDRESSES = [{ type: 'IPAddress', value: '10.0.0.9' }];

function gateway(binding: string | undefined, more: object = {}): Record<string, unknown> {
  const annotations = binding === undefined ? {} : { [BINDING]: binding };
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'w', namespace: 'shop', uid: 'u', annotations },
    spec: {
      gatewayClassName: 'istio-waypoint',
      addresses: ADDRESSES,
      listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }],
      ...more,
    },
  };
}

/** What callers of a service of its namespace are told, and who is let in where a policy needs the request. */
function withWaypoint(inForce: MeshObject | undefined) {
  const world = [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: 'shop',
        labels: { 'istio.io/dataplane-mode': 'ambient', 'istio.io/use-waypoint': 'w' },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'a', namespace: 'shop' },
      spec: { clusterIP: '10.1.0.1', clusterIPs: ['10.1.0.1'], ports: [{ port: 80 }] },
    },
  ].flatMap((object) => parseObject(object).object ?? []);
  const model = new MeshModel(OPTIONS);
  model.apply({ upserts: inForce === undefined ? world : [...world, inForce] });
  const found = model.outputs.addresses.get('shop/a.shop.svc.cluster.local');
  const waypoint = found?.kind === 'service' ? found.service.waypoint : undefined;
  return { waypoint, made: [...model.outputs.waypoints.keys()] };
}

describe('the stand-in of a waypoint with a bad binding', () => {
  for (const [title, written] of [
    ['words unknown', gateway('HTTP/80')],
    ['no port', gateway('PROXY/')],
    ['a waypoint that would be made here', gateway('PROXY/15088', { addresses: [] })],
    ['another class', gateway('HTTP/80', { gatewayClassName: 'other' })],
    ['whatever else is wrong', gateway('PROXY/15088', { listeners: [] })],
  ] as const) {
    it(`sends callers to nobody, and makes nothing: ${title}`, () => {
      assert.equal(parseObject(written).object, undefined, 'it is refused');
      const standIn = standInFor(written);
      assert.ok(standIn !== undefined && isStandIn(standIn));
      assert.equal(standIn.metadata.uid, 'u');
      const { waypoint, made } = withWaypoint(standIn);
      assert.deepEqual(waypoint?.destination, {
        kind: 'hostname',
        hostname: { namespace: 'shop', hostname: 'nobody.invalid' },
      });
      assert.deepEqual(made, []);
    });
  }

  it('is one of a class too, which is no waypoint without a Gateway', () => {
    const refused = {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'GatewayClass',
      metadata: { name: 'other', annotations: { [BINDING]: 'PROXY/15088 ' } },
      spec: { controllerName: 'example.com/proxies' },
    };
    assert.equal(parseObject(refused).object, undefined, 'it is refused');
    const standIn = standInFor(refused);
    assert.ok(standIn !== undefined && isStandIn(standIn));
    assert.equal(standIn.metadata.annotations[BINDING], '');
    const [own, without] = [BINDING, 'x'].map((name) =>
      standInFor({ ...refused, metadata: { name: 'other', annotations: { [name]: '' } } }),
    );
    assert.ok(own);
    assert.equal(without, undefined);
  });

  it('keeps callers from going past it, as they would were it not there', () => {
    assert.equal(withWaypoint(undefined).waypoint, undefined);
  });

  for (const [title, written] of [
    ['without a binding', gateway(undefined, { listeners: [] })],
    ['of another class, without a binding', gateway(undefined, { gatewayClassName: 'other' })],
    ['without a class', gateway('HTTP/80', { gatewayClassName: undefined })],
    ['without a spec', { ...gateway('HTTP/80'), spec: 'nonsense' }],
  ] as const) {
    it(`is none for one ${title}`, () => assert.equal(standInFor(written), undefined));
  }
});
