/**
 * A waypoint behind its agent: what its pods and its callers are told, and that it is never taken for who decides. What the reference
 * makes of an annotation is beside what is made here.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import {
  L4_ALLOW,
  L7_ALLOW,
  L7_TARGETED,
  meshService,
  ROUTE,
  reasons,
  workload,
} from '../mesh.testing.ts';
import type { MeshModel } from '../mesh-model.ts';
import { modelOf, namespace, pod, policy, service } from '../objects.testing.ts';
import {
  BINDING,
  bound,
  ENROLLED,
  gatewayClass,
  made,
  other,
  WORLD,
} from './behind-agent.testing.ts';

const tunnel = (...objects: readonly MeshObject[]) =>
  workload(modelOf(...WORLD, ...objects), 'w-0').applicationTunnel;

function programmed(model: MeshModel): string {
  const status = model.outputs.statuses.get('Gateway/shop/w');
  const found = status?.conditions.find(({ type }) => type === 'Programmed');
  return `${found?.status} ${found?.reason}`;
}

describe('the pods of a waypoint behind its agent', () => {
  const PROXY = { protocol: 'PROXY', port: 15_088 } as const;
  // With what the reference takes the same annotations for (istiod, `makeInboundBinding`).
  const rows: readonly (readonly [string, readonly MeshObject[], object | undefined])[] = [
    ['its Gateway', [made('PROXY/15088')], PROXY],
    ['its Gateway, without a port', [made('PROXY')], { protocol: 'PROXY', port: 0 }],
    ['its Gateway, without PROXY', [made('NONE/8080')], { protocol: 'NONE', port: 8080 }],
    ['its class', [made(undefined), gatewayClass('istio-waypoint', 'PROXY/15088')], PROXY],
    [
      'its Gateway before its class',
      [made('PROXY/15088'), gatewayClass('istio-waypoint', 'NONE/1')],
      PROXY,
    ],
    ['a Gateway of another class', [other('PROXY/15088')], PROXY],
    ['another class', [other(), gatewayClass('other', 'PROXY/15088')], PROXY],
    ['nobody', [made(undefined)], undefined],
    ['a class that is not its own', [made(undefined), gatewayClass('b', 'PROXY/1')], undefined],
    ['nobody, of another class', [other(), gatewayClass('other')], undefined],
  ];
  for (const [who, objects, expected] of rows) {
    it(`${expected === undefined ? 'are told nothing by' : 'are told by'} ${who}`, () => {
      assert.deepEqual(tunnel(...objects), expected);
    });
  }

  it('are told nothing where the waypoint is one that is made here', () => {
    const model = modelOf(
      ...WORLD,
      made(undefined, { addresses: [] }),
      gatewayClass('istio-waypoint', 'PROXY/15088'),
    );
    assert.equal(workload(model, 'w-0').applicationTunnel, undefined);
    const [finding] = model.outputs.statuses.get('Gateway/shop/w')?.findings ?? [];
    assert.equal(finding?.code, 'WAYPOINT_BINDING_UNUSED');
    assert.match(finding?.message ?? '', /^GatewayClass\/istio-waypoint .*"PROXY\/15088"/);
  });

  it('are those with its label in its namespace, and no others', () => {
    const apart = pod('x', '10.0.0.8', {
      namespace: 'infra',
      labels: { 'gateway.networking.k8s.io/gateway-name': 'w' },
    });
    const model = modelOf(...WORLD, apart, namespace('infra', ENROLLED), made('PROXY/15088'));
    assert.equal(workload(model, 'x', 'infra').applicationTunnel, undefined);
    assert.equal(workload(model, 'reviews').applicationTunnel, undefined);
  });

  // The reference takes these for no annotation, for a port 0, and for a port that no socket has.
  const closed: readonly (readonly [string, readonly MeshObject[], string])[] = [
    [
      'its class is in words unknown',
      [other(), bound(gatewayClass('other'), 'HTTP/80')],
      'GatewayClass/other',
    ],
    [
      'its class has no number',
      [other(), bound(gatewayClass('other'), 'PROXY/x')],
      'GatewayClass/other',
    ],
    ['its Gateway is out of range', [bound(other(), 'PROXY/70000')], 'Gateway/shop/w'],
    ['its Gateway is not there', [], 'Gateway/shop/w'],
  ];
  for (const [why, objects, because] of closed) {
    it(`are reached by nobody, at any port, where ${why}`, () => {
      const { guard, applicationTunnel } = workload(modelOf(...WORLD, ...objects), 'w-0');
      assert.equal(applicationTunnel, undefined);
      const expected = { waypointIdentities: [], ports: [], exclusive: true, because: [because] };
      assert.deepEqual(guard, expected);
    });
  }

  it('are reached by nobody once their Gateway is deleted', () => {
    const model = modelOf(...WORLD, other('PROXY/15088'));
    assert.equal(workload(model, 'w-0').guard, undefined);
    model.apply({ removes: ['Gateway/shop/w'] });
    assert.deepEqual(workload(model, 'w-0').guard?.because, ['Gateway/shop/w']);
  });

  it('are told of a binding that another mesh reads too', () => {
    const theirs = made('PROXY/15088', {}, { labels: { 'istio.io/rev': 'theirs' } });
    const annotated = bound(theirs, 'PROXY/15088');
    assert.deepEqual(tunnel(annotated), { protocol: 'PROXY', port: 15_088 });
  });

  it('follow the annotation when it changes, and when it goes', () => {
    const model = modelOf(...WORLD, other(), gatewayClass('other', 'PROXY/15088'));
    model.apply({ upserts: [gatewayClass('other', 'PROXY/15089')] });
    assert.equal(workload(model, 'w-0').applicationTunnel?.port, 15_089);
    model.apply({ removes: ['GatewayClass/other'] });
    assert.equal(workload(model, 'w-0').applicationTunnel, undefined);
  });
});

describe('callers of a waypoint behind its agent', () => {
  it('find it by its address, or by the Service of the name of a Gateway of another class', () => {
    const at = (gateway: MeshObject) => meshService(modelOf(...WORLD, gateway), 'reviews').waypoint;
    assert.deepEqual(at(made('PROXY/15088'))?.destination, {
      kind: 'address',
      address: { network: '', address: '10.1.0.9' },
    });
    const found = at(other('PROXY/15088'));
    assert.deepEqual(found?.destination, {
      kind: 'hostname',
      hostname: { namespace: 'shop', hostname: 'w.shop.svc.cluster.local' },
    });
    assert.equal(found?.hboneMtlsPort, 15_008, 'its agent ends the tunnel');
    assert.equal(found.waypoint?.identity, 'spiffe://cluster.local/ns/shop/sa/w');
    assert.equal(at(other()), undefined, 'a Gateway of another class alone is no waypoint');
  });

  it('are sent there, and refused there, whatever a binding says that nobody knows', () => {
    for (const bad of [
      [bound(other(), 'PROXY/99999')],
      [other(), bound(gatewayClass('other'), 'proxy')],
    ]) {
      const model = modelOf(...WORLD, ...bad);
      assert.notEqual(meshService(model, 'reviews').waypoint, undefined);
      assert.equal(programmed(model), 'False InvalidBinding');
    }
  });

  it('are of the namespaces that the listener of the binding admits', () => {
    const routes = (from: string) => ({ allowedRoutes: { namespaces: { from } } });
    const spec = {
      listeners: [
        { name: 'a', port: 15008, protocol: 'HBONE', ...routes('Same') },
        { name: 'b', port: 15088, protocol: 'istio.io/PROXY', ...routes('All') },
      ],
    };
    const infra = namespace('infra', {
      ...ENROLLED,
      'istio.io/use-waypoint': 'w',
      'istio.io/use-waypoint-namespace': 'shop',
    });
    const far = [infra, service('far', '10.1.0.3', { namespace: 'infra' })];
    const found = (binding: string | undefined) =>
      meshService(modelOf(...WORLD, ...far, made(binding, spec)), 'far', 'infra').waypoint;
    for (const binding of ['PROXY/15088', 'PROXY']) assert.ok(found(binding), binding);
    for (const binding of [undefined, 'PROXY/15089', 'NONE']) {
      assert.equal(found(binding), undefined, `${binding}`);
    }
  });

  it('may be told by the class which traffic it takes', () => {
    const all = gatewayClass('istio-waypoint', undefined, { 'istio.io/waypoint-for': 'all' });
    assert.ok(workload(modelOf(...WORLD, made('PROXY/15088'), all), 'reviews').waypoint);
    const own = made('PROXY/15088', {}, { labels: { 'istio.io/waypoint-for': 'service' } });
    const annotated = {
      ...own,
      metadata: { ...own.metadata, annotations: { [BINDING]: 'PROXY' } },
    };
    const model = modelOf(...WORLD, annotated as MeshObject, all);
    assert.equal(workload(model, 'reviews').waypoint, undefined);
  });
});

describe('a waypoint behind its agent decides nothing', () => {
  const targeted = policy('at-gateway', {
    targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'w' }],
    rules: [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/client'] } }] }],
  });
  for (const object of [L7_ALLOW, L7_TARGETED, targeted]) {
    for (const binding of ['PROXY/15088', 'NONE/8080']) {
      it(`so nobody gets in where ${object.metadata.name} would be decided, ${binding}`, () => {
        const model = modelOf(...WORLD, made(binding), object);
        const { guard } = workload(model, 'reviews');
        assert.deepEqual(guard?.waypointIdentities, []);
        assert.equal(guard?.exclusive, true);
        const key = `AuthorizationPolicy/shop/${object.metadata.name}`;
        const said = reasons(model, key).filter((one) => one.startsWith('WaypointReady'));
        assert.deepEqual(said, ['WaypointReady=False WaypointBehindAgent']);
      });
    }
  }

  it('and is sent neither policies nor routes, so nobody waits until it has them', () => {
    const scopeOf = (binding: string | undefined) =>
      modelOf(...WORLD, made(binding), L7_ALLOW).outputs.scopes.get('shop/w');
    assert.equal(scopeOf('PROXY/15088'), undefined);
    assert.equal(scopeOf(undefined)?.has('AuthorizationPolicy/shop/get-only'), true);
  });

  it('while one of the mesh decides the same', () => {
    const { guard } = workload(modelOf(...WORLD, made(undefined), L7_ALLOW), 'reviews');
    assert.deepEqual(guard?.waypointIdentities, ['spiffe://cluster.local/ns/shop/sa/w']);
  });

  it('nor where nobody can read its binding', () => {
    const model = modelOf(...WORLD, other(), bound(gatewayClass('other'), 'proxy'), L7_ALLOW);
    assert.deepEqual(workload(model, 'reviews').guard?.waypointIdentities, []);
  });

  it('so agents judge what it sends by their own policies, routed or not', () => {
    const model = modelOf(...WORLD, made('PROXY/15088'), L4_ALLOW, ROUTE);
    assert.equal(workload(model, 'reviews').guard, undefined, 'nothing is skipped for it');
    assert.deepEqual(workload(model, 'reviews').authorizationPolicies, ['shop/callers']);
    assert.ok(
      reasons(model, 'VirtualService/shop/reviews').includes(
        'WaypointReady=False WaypointBehindAgent',
      ),
    );
  });

  for (const [action, principal, isHidden] of [
    ['DENY', 'client', true],
    ['ALLOW', 'client', true],
    ['ALLOW', 'w', false],
  ] as const) {
    it(`and ${isHidden ? 'tells' : 'tells nobody'} that it stands for its callers: ${action} of ${principal}`, () => {
      const rules = [
        { from: [{ source: { principals: [`cluster.local/ns/shop/sa/${principal}`] } }] },
      ];
      const on = (app: string) =>
        policy('p', { action, selector: { matchLabels: { app } }, rules });
      const findings = (app: string) =>
        modelOf(...WORLD, made('PROXY/15088'), on(app)).outputs.statuses.get(
          'AuthorizationPolicy/shop/p',
        )?.findings ?? [];
      const found = findings('reviews').filter(({ code }) => code === 'CALLER_HIDDEN');
      assert.equal(found.length, isHidden ? 1 : 0);
      if (isHidden) assert.match(found[0]?.message ?? '', /a proxy behind its agent/);
      assert.deepEqual(findings('w'), [], 'of its own pods the agent sees who comes');
    });
  }

  it('and its own agent judges its callers, by what concerns connections', () => {
    const onIt = policy('front', {
      selector: { matchLabels: { app: 'w' } },
      rules: [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/client'] } }] }],
    });
    const model = modelOf(...WORLD, made('PROXY/15088'), onIt);
    assert.deepEqual(workload(model, 'w-0').authorizationPolicies, ['shop/front']);
    assert.equal(workload(model, 'w-0').guard, undefined);
  });

  it('and lets nobody in where a policy on it needs the request', () => {
    const onIt = policy('front', {
      selector: { matchLabels: { app: 'w' } },
      rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
    });
    const { guard } = workload(modelOf(...WORLD, made('PROXY/15088'), onIt), 'w-0');
    assert.deepEqual([guard?.waypointIdentities, guard?.ports, guard?.exclusive], [[], [], true]);
  });
});
