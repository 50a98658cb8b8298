/** Ways in which a policy could end up decided by nobody. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import type { MeshModel } from './mesh-model.ts';
import {
  gateway,
  modelOf,
  namespace,
  networking,
  pod,
  policy,
  service,
  uid,
  waypointPod,
} from './objects.testing.ts';
import type { Workload } from './types.ts';

const AMBIENT = namespace('shop', { 'istio.io/dataplane-mode': 'ambient' });
const WAYPOINT_ID = 'spiffe://cluster.local/ns/shop/sa/waypoint';

function workload(model: MeshModel, name: string): Workload {
  const address = model.outputs.addresses.get(uid(name));
  assert.ok(address?.kind === 'workload');
  return address.workload;
}

/** Status and reason of `Attached`, and the codes of the findings, of policy `p`. */
function attachedOf(...objects: readonly MeshObject[]): string {
  const status = modelOf(...objects).outputs.statuses.get('AuthorizationPolicy/shop/p');
  const found = status?.conditions.find(({ type }) => type === 'Attached');
  const codes = status?.findings.map(({ code }) => code).join() ?? '';
  return `${found?.status} ${found?.reason} ${codes}`;
}

describe('a policy on the waypoint of workloads', () => {
  const bound = pod('reviews', '10.0.0.1', {
    labels: { app: 'reviews', 'istio.io/use-waypoint': 'waypoint' },
  });
  const onGateway = (spec: object = {}): MeshObject =>
    policy('p', {
      action: 'DENY',
      rules: [{ to: [{ operation: { methods: ['POST'] } }] }],
      targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'waypoint' }],
      ...spec,
    });
  for (const traffic of ['workload', 'all']) {
    const made = gateway('waypoint', { labels: { 'istio.io/waypoint-for': traffic } });

    it(`guards every port of the workloads behind it, ready or not, ${traffic}`, () => {
      for (const ready of [true, false]) {
        const objects = [AMBIENT, bound, made, waypointPod('waypoint', 'shop', ready)];
        const guarded = workload(modelOf(...objects, onGateway()), 'reviews');
        assert.deepEqual(guarded.guard, {
          waypointIdentities: [WAYPOINT_ID],
          ports: [],
          exclusive: true,
          because: ['AuthorizationPolicy/shop/p'],
        });
        assert.ok(guarded.waypoint, 'callers go there, and nowhere else');
      }
    });

    it(`guards nothing for one that only takes notes, ${traffic}`, () => {
      const objects = [AMBIENT, bound, made, waypointPod(), onGateway({ action: 'AUDIT' })];
      assert.equal(workload(modelOf(...objects), 'reviews').guard, undefined);
    });
  }

  it('guards no workload behind a waypoint that takes services only', () => {
    const objects = [AMBIENT, bound, gateway('waypoint'), waypointPod(), onGateway()];
    assert.equal(workload(modelOf(...objects), 'reviews').guard, undefined);
  });
});

describe('a policy on a waypoint that a label names and that is not there', () => {
  const USE = { 'istio.io/use-waypoint': 'edge' };
  const LABELLED = namespace('shop', { 'istio.io/dataplane-mode': 'ambient', ...USE });
  const POD = pod('reviews', '10.0.0.1');
  const SERVICE = service('reviews', '10.96.0.1');
  const EDGE = gateway('edge', { labels: { 'istio.io/waypoint-for': 'all' } });
  const ENTRY = networking('ServiceEntry', 'far', {
    hosts: ['far.example.com'],
    addresses: ['240.0.0.1'],
    resolution: 'DNS',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
  });
  const at = (kind: string, name: string, spec: object = {}, space = 'shop'): MeshObject => {
    const groups: Record<string, string> = {
      Service: '',
      ServiceEntry: 'networking.istio.io',
    };
    const group = groups[kind] ?? 'gateway.networking.k8s.io';
    const targetRefs = [{ group, kind, name }];
    return policy('p', { action: 'DENY', rules: [{}], targetRefs, ...spec }, { namespace: space });
  };
  const onEdge = at('Gateway', 'edge');
  const guardOf = (...objects: readonly MeshObject[]) =>
    workload(modelOf(LABELLED, POD, SERVICE, ...objects), 'reviews').guard;
  const wayTo = (...objects: readonly MeshObject[]) => {
    const key = 'shop/far.example.com';
    const found = modelOf(...objects).outputs.addresses.get(key);
    assert.ok(found?.kind === 'service');
    const to = found.service.waypoint?.destination;
    return to?.kind === 'hostname' ? to.hostname.hostname : undefined;
  };

  it('keeps every port closed while the Gateway is away, as while it is not ready', () => {
    const model = modelOf(LABELLED, POD, SERVICE, EDGE, onEdge);
    assert.equal(workload(model, 'reviews').guard?.exclusive, true);
    model.apply({ removes: ['Gateway/shop/edge'] });
    assert.deepEqual(workload(model, 'reviews').guard, {
      waypointIdentities: [],
      ports: [],
      exclusive: true,
      because: ['AuthorizationPolicy/shop/p'],
    });
    model.apply({ removes: ['AuthorizationPolicy/shop/p'] });
    assert.equal(workload(model, 'reviews').guard, undefined);
  });

  it('closes a Service that alone has the label, and no other', () => {
    const one = service('one', '10.96.0.2', { selector: { app: 'reviews' }, labels: USE });
    const model = modelOf(AMBIENT, POD, SERVICE, one, pod('b', '10.0.0.2'), onEdge);
    assert.deepEqual(workload(model, 'reviews').guard?.ports, [8080]);
    assert.equal(workload(model, 'b').guard, undefined);
  });

  for (const [title, objects] of [
    ['takes notes alone', [at('Gateway', 'edge', { action: 'AUDIT' })]],
    ['is on another one', [at('Gateway', 'other')]],
    ['is in another namespace', [at('Gateway', 'edge', {}, 'third')]],
    [
      'is on a class, which nothing has that is not there',
      [at('GatewayClass', 'istio-waypoint', {}, 'istio-system')],
    ],
  ] as const) {
    it(`closes nothing where it ${title}`, () => assert.equal(guardOf(...objects), undefined));
  }

  it('closes nothing where nobody names it', () => {
    assert.equal(workload(modelOf(AMBIENT, POD, SERVICE, onEdge), 'reviews').guard, undefined);
  });

  // Nobody stands before what an entry names, so that its callers keep the policy.
  for (const [title, objects, isClosed] of [
    ['a policy on the Gateway that is not there', [LABELLED, onEdge], true],
    ['one on the entry', [LABELLED, at('ServiceEntry', 'far')], true],
    ['one on the entry, labelled to use none', [optedOut(), at('ServiceEntry', 'far')], true],
    [
      'one on the entry, at a Gateway for workloads',
      [LABELLED, workloadsOnly(), at('ServiceEntry', 'far')],
      true,
    ],
    ['one that takes notes', [LABELLED, at('ServiceEntry', 'far', { action: 'AUDIT' })], false],
    ['none', [LABELLED], false],
    ['none, labelled to use none', [optedOut()], false],
    ['one on a Gateway that nobody names', [AMBIENT, onEdge], false],
  ] as const) {
    it(`${isClosed ? 'refuses' : 'leaves'} callers of a ServiceEntry: ${title}`, () => {
      assert.equal(wayTo(...objects, ENTRY)?.startsWith('(') ?? false, isClosed);
    });
  }

  function optedOut(): MeshObject {
    return namespace('shop', { 'istio.io/use-waypoint': 'none' });
  }

  function workloadsOnly(): MeshObject {
    return gateway('edge', { labels: { 'istio.io/waypoint-for': 'workload' } });
  }
});

describe('the label of a gateway on a pod', () => {
  const L7 = policy('p', { rules: [{ to: [{ operation: { methods: ['GET'] } }] }] });
  const labelled = pod('reviews', '10.0.0.1', {
    labels: { app: 'reviews', 'gateway.networking.k8s.io/gateway-name': 'nobody' },
  });

  it('does not take a captured pod out of the guard where no such Gateway is', () => {
    const model = modelOf(AMBIENT, labelled, service('reviews', '10.96.0.1'), L7);
    assert.equal(workload(model, 'reviews').guard?.exclusive, true);
  });

  for (const [whose, object] of [
    ['of another class', gateway('nobody', { className: 'nginx' })],
    ['of a waypoint that runs as another', gateway('nobody')],
    ['of a waypoint that somebody else runs', gateway('nobody', { addresses: ['10.9.9.9'] })],
  ] as const) {
    it(`does not take a captured pod out of the guard with a Gateway ${whose}`, () => {
      const model = modelOf(AMBIENT, labelled, service('reviews', '10.96.0.1'), object, L7);
      const { guard } = workload(model, 'reviews');
      assert.deepEqual(guard?.waypointIdentities, ['spiffe://cluster.local/ns/shop/sa/waypoint']);
      assert.deepEqual([guard?.ports, guard?.exclusive], [[], true]);
    });
  }

  it('leaves the connections of a captured ingress to its agent, and one that is not captured alone', () => {
    const ingress = gateway('nobody', { className: 'nginx' });
    const l4 = policy('p', {
      action: 'DENY',
      rules: [{ from: [{ source: { namespaces: ['x'] } }] }],
    });
    const captured = workload(modelOf(AMBIENT, labelled, ingress, l4), 'reviews');
    assert.equal(captured.guard, undefined);
    const alone = workload(modelOf(namespace('shop'), labelled, ingress, L7), 'reviews');
    assert.equal(alone.guard, undefined);
  });

  // It has no guard, as it would be the only one to come past it, and is said to be judged by nobody.
  it('is believed of a pod that runs as its waypoint, and the policy says so', () => {
    const own = pod('reviews', '10.0.0.1', {
      account: 'nobody',
      labels: { app: 'reviews', 'gateway.networking.k8s.io/gateway-name': 'nobody' },
    });
    const selecting = policy('p', {
      selector: { matchLabels: { app: 'reviews' } },
      rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
    });
    const model = modelOf(AMBIENT, own, gateway('nobody'), selecting);
    assert.equal(workload(model, 'reviews').guard, undefined);
    const status = model.outputs.statuses.get('AuthorizationPolicy/shop/p');
    const [finding] = status?.findings ?? [];
    assert.equal(finding?.code, 'WAYPOINT_UNJUDGED');
    assert.match(finding?.message ?? '', /Pod\/shop\/reviews/);
  });
});

describe('a policy on what is outside of the mesh', () => {
  const inside = pod('in', '10.0.0.1', { labels: { app: 'a' } });
  const out = pod('out', '10.0.0.2', { labels: { app: 'a', 'istio.io/dataplane-mode': 'none' } });
  for (const selector of [undefined, { matchLabels: { app: 'a' } }]) {
    for (const rules of [[{}], [{ to: [{ operation: { methods: ['GET'] } }] }]]) {
      const p = policy('p', { action: 'DENY', rules, ...(selector && { selector }) });
      const where = rules.length > 0 && 'to' in (rules[0] ?? {}) ? 'AtWaypoint' : 'AtAgents';
      it(`says that nobody decides, ${where}, ${selector ? 'selecting' : 'wide'}`, () => {
        assert.equal(attachedOf(AMBIENT, p, out), 'False NotEnrolled NOT_ENROLLED');
        assert.equal(attachedOf(namespace('shop'), p, inside), 'False NotEnrolled NOT_ENROLLED');
        assert.equal(attachedOf(AMBIENT, p, inside, out), `True ${where} NOT_ENROLLED`);
        assert.equal(attachedOf(AMBIENT, p, inside, waypointPod()), `True ${where} `);
      });
    }
  }
});

describe('a policy on a Service', () => {
  const inside = pod('in', '10.0.0.1', { labels: { app: 'reviews' } });
  const out = pod('out', '10.0.0.2', {
    labels: { app: 'reviews', 'istio.io/dataplane-mode': 'none' },
  });
  const p = (...names: readonly string[]) =>
    policy('p', {
      targetRefs: names.map((name) => ({ group: '', kind: 'Service', name })),
      rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
    });
  const SERVICE = service('reviews', '10.96.0.1');
  const OTHER = service('other', '10.96.0.2');
  for (const [title, objects, expected] of [
    ['one that is not enrolled', [AMBIENT, out], 'False NotEnrolled NOT_ENROLLED'],
    [
      'one of a namespace that is not',
      [namespace('shop'), inside],
      'False NotEnrolled NOT_ENROLLED',
    ],
    ['one that is, and one that is not', [AMBIENT, inside, out], 'True AtWaypoint NOT_ENROLLED'],
    ['one that is enrolled', [AMBIENT, inside], 'True AtWaypoint '],
    ['none', [AMBIENT], 'True AtWaypoint '],
  ] as const) {
    it(`says ${expected} of pods: ${title}`, () => {
      for (const targeting of [p('reviews'), p('reviews', 'other')]) {
        assert.equal(attachedOf(SERVICE, OTHER, targeting, ...objects), expected);
      }
    });
  }

  it('says nothing of pods that another Service has', () => {
    assert.equal(attachedOf(SERVICE, OTHER, p('other'), AMBIENT, out), 'True AtWaypoint ');
  });
});

describe('a policy that cannot be compiled', () => {
  // What validation lets pass and compiling refuses is a fault of ours, and no reason to let anybody in.
  const written = policy('broken', {
    action: 'ALLOW',
    selector: { matchLabels: { app: 'reviews' } },
    rules: [{ from: [{ source: { ipBlocks: ['10.0.0.0/8'] } }] }],
  });
  const broken = JSON.parse(
    JSON.stringify(written).replace('10.0.0.0/8', 'nonsense'),
  ) as MeshObject;

  it('refuses everything in its scope, and says so', () => {
    const model = modelOf(
      AMBIENT,
      pod('reviews', '10.0.0.1', { labels: { app: 'reviews' } }),
      broken,
    );
    const held = model.outputs.authorizations.get('shop/broken');
    assert.deepEqual(
      [held?.action, held?.scope, held?.rules],
      ['DENY', 'WORKLOAD_SELECTOR', [{ clauses: [] }]],
    );
    assert.deepEqual(workload(model, 'reviews').authorizationPolicies, ['shop/broken']);
    const status = model.outputs.statuses.get('AuthorizationPolicy/shop/broken');
    const accepted = status?.conditions.find(({ type }) => type === 'Accepted');
    assert.deepEqual([accepted?.status, accepted?.reason], ['False', 'Invalid']);
    assert.match(accepted?.message ?? '', /everything in its scope is refused/);
  });
});
