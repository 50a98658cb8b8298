/**
 * The differential oracle: whatever order objects came, changed and went in, the model must say what a
 * model that was built from the last state alone says; and its deltas, replayed, must give the same.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject, ObjectKey } from '@ambit/api';
import fc from 'fast-check';

import { type MeshBatch, MeshModel } from './mesh-model.ts';
import { keyOf } from './objects/keys.ts';
import {
  gateway,
  httpRoute,
  namespace,
  networking,
  OPTIONS,
  parsed,
  pod,
  policy,
  service,
  slice,
  uid,
  waypointPod,
} from './objects.testing.ts';
import type { MeshOutputs } from './types.ts';

const BINDING = 'ambient.istio.io/waypoint-inbound-binding';
const HEARING = { ...OPTIONS, hearsAgents: true };
const SPACES = ['shop', 'infra'] as const;
const METHODS = [{ to: [{ operation: { methods: ['GET'] } }] }];
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
function universe(): readonly MeshObject[] {
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
        networking(
          'DestinationRule',
          name,
          { host: name, trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } },
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

const OBJECTS = universe();
const UIDS = SPACES.flatMap((space) => ['a', 'b', 'c'].map((name) => uid(name, space)));

type Operation =
  | { readonly kind: 'upsert'; readonly object: number }
  | { readonly kind: 'remove'; readonly object: number }
  | { readonly kind: 'refuse'; readonly object: number }
  | { readonly kind: 'capture' | 'release'; readonly uid: number };

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('upsert' as const),
      object: fc.nat(OBJECTS.length - 1),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('remove' as const),
      object: fc.nat(OBJECTS.length - 1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('refuse' as const),
      object: fc.nat(OBJECTS.length - 1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('capture' as const, 'release' as const),
      uid: fc.nat(UIDS.length - 1),
    }),
  },
);

const KINDS = [
  'addresses',
  'authorizations',
  'enrolments',
  'pods',
  'waypoints',
  'scopes',
  'objects',
  'statuses',
] as const;
const FINDINGS = [{ code: 'X', severity: 'error', path: '', message: 'is wrong' }] as const;

function plain(outputs: MeshOutputs): Record<string, unknown> {
  return Object.fromEntries(KINDS.map((kind) => [kind, sorted(outputs[kind])]));
}

function sorted(map: ReadonlyMap<string, unknown>): ReadonlyMap<string, unknown> {
  return new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

class Run {
  readonly model = new MeshModel(HEARING);
  readonly replica: Record<string, Map<string, unknown>> = Object.fromEntries(
    KINDS.map((kind) => [kind, new Map()]),
  );
  readonly #objects = new Map<ObjectKey, MeshObject>();
  readonly #refused = new Set<ObjectKey>();
  readonly #captured = new Set<string>();
  #batches = 0;

  /** What is not taken leaves nothing. */
  #refuse(batch: MeshBatch): void {
    const refuse = (): never => {
      throw new Error('not taken');
    };
    assert.throws(() => this.model.apply(batch, refuse), /not taken/);
  }

  apply(operations: readonly Operation[]): void {
    // Objects of one key in one batch: the last wins, as in a source.
    const upserts = new Map<ObjectKey, MeshObject>();
    const removes = new Set<ObjectKey>();
    const refuses = new Set<ObjectKey>();
    for (const step of operations) {
      if ('uid' in step) {
        const name = UIDS[step.uid] ?? '';
        if (step.kind === 'capture') this.#captured.add(name);
        else this.#captured.delete(name);
        continue;
      }
      const object = OBJECTS[step.object];
      if (object === undefined) continue;
      const key = keyOf(object);
      refuses.delete(key);
      upserts.delete(key);
      if (step.kind === 'upsert') upserts.set(key, object);
      else if (step.kind === 'remove') removes.add(key);
      else refuses.add(key);
    }
    for (const key of removes) {
      this.#objects.delete(key);
      this.#refused.delete(key);
    }
    for (const [key, object] of upserts) {
      this.#objects.set(key, object);
      this.#refused.delete(key);
    }
    for (const key of refuses) this.#refused.add(key);
    const batch = {
      upserts: [...upserts.values()],
      removes: [...removes],
      invalid: [...refuses].map((key) => ({ key, findings: FINDINGS })),
      captured: {
        add: [...this.#captured],
        remove: UIDS.filter((name) => !this.#captured.has(name)),
      },
    };
    this.#batches += 1;
    if (this.#batches % 2 === 0) this.#refuse(batch);
    const delta = this.model.apply(batch);
    for (const kind of KINDS) {
      for (const key of delta[kind].removed) this.replica[kind]?.delete(key);
      for (const key of delta[kind].changed) {
        this.replica[kind]?.set(key, this.model.outputs[kind].get(key));
      }
    }
  }

  fromScratch(): MeshOutputs {
    const fresh = new MeshModel(HEARING, this.model.pending);
    fresh.apply({
      upserts: [...this.#objects.values()],
      invalid: [...this.#refused].map((key) => ({ key, findings: FINDINGS })),
      captured: { add: [...this.#captured] },
    });
    return fresh.outputs;
  }
}

describe('MeshModel against a model built from scratch', () => {
  it('says the same after any operations, and its deltas replay to the same', () => {
    const first = fc.array(fc.nat(OBJECTS.length - 1), {
      minLength: 20,
      maxLength: 60,
      size: 'max',
    });
    const batches = fc.array(fc.array(operation, { minLength: 1, maxLength: 6, size: 'max' }), {
      minLength: 8,
      maxLength: 30,
      size: 'max',
    });
    fc.assert(
      fc.property(first, batches, (world, all) => {
        const run = new Run();
        run.apply(world.map((object) => ({ kind: 'upsert', object })));
        for (const operations of all) run.apply(operations);
        const expected = plain(run.fromScratch());
        assert.deepEqual(plain(run.model.outputs), expected);
        for (const kind of KINDS) {
          assert.deepEqual(
            sorted(run.replica[kind] ?? new Map()),
            expected[kind],
            `replay of ${kind}`,
          );
        }
      }),
      { numRuns: 150 },
    );
  });
});
