/**
 * What objects of Gateway API are told, with its own CRDs: classes, a Gateway of a waypoint that runs, routes and what they refer
 * to, kinds that are not served; and that it follows each change. (Each condition by itself: `libs/model/src/status/gateway-api`.)
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { installGatewayCrds } from './gateway-crds.ts';
import { kubectl } from './kubectl.ts';
import { MeshCluster } from './mesh-cluster.ts';
import { ENROLLED, type Json, service } from './objects.ts';

const GROUP = 'gateway.networking.k8s.io';
const CONTROLLER_NAME = 'ambit.io/mesh-controller';

let mesh: MeshCluster;
let shop: string;
let other: string;
let removeCrds = async (): Promise<void> => await Promise.resolve();

before(async () => {
  removeCrds = await installGatewayCrds();
  mesh = await MeshCluster.open();
  shop = await mesh.namespace('gateway-api', ENROLLED);
  other = await mesh.namespace('gateway-api-other', ENROLLED);
  await mesh.apply(
    ...['reviews', 'details', 'stock', 'orders'].map((name) => service({ name, namespace: shop })),
    service({ name: 'ratings', namespace: other }),
  );
});
after(async () => {
  await mesh?.[Symbol.asyncDispose]();
  await removeCrds();
});

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
}

interface Entry {
  readonly controllerName: string;
  readonly conditions: readonly Condition[];
}

interface Found {
  readonly metadata: { readonly generation: number };
  readonly spec: { readonly clusterIP?: string };
  readonly status?: {
    readonly conditions?: readonly Condition[];
    readonly addresses?: readonly { readonly type: string; readonly value: string }[];
    readonly supportedFeatures?: readonly { readonly name: string }[];
    readonly parents?: readonly Entry[];
    readonly ancestors?: readonly Entry[];
    readonly listeners?: readonly {
      readonly name: string;
      readonly attachedRoutes: number;
      readonly conditions: readonly Condition[];
    }[];
  };
}

async function get(kind: string, name: string, namespace = shop): Promise<Found> {
  return JSON.parse(await kubectl(['-n', namespace, 'get', kind, name, '-o', 'json'])) as Found;
}

/** `Accepted=True/Accepted …`; without what the mesh adds: what is in force where, and by which waypoint. */
function line(conditions: readonly Condition[] = []): string {
  return conditions
    .filter(({ type }) => type !== 'Enforced' && type !== 'WaypointReady')
    .map(({ type, status, reason }) => `${type}=${status}/${reason}`)
    .join(' ');
}

/** Of the one parent or target. Each condition is of the version that is stored. */
async function told(kind: string, name: string): Promise<string> {
  const { status, metadata } = await get(`${kind}.${GROUP}`, name);
  const entries = status?.parents ?? status?.ancestors ?? [];
  assert.deepEqual(
    entries.map(({ controllerName }) => controllerName),
    [CONTROLLER_NAME],
  );
  const conditions = entries[0]?.conditions ?? [];
  for (const { type, observedGeneration } of conditions) {
    assert.equal(observedGeneration, metadata.generation, type);
  }
  return line(conditions);
}

async function tells(kind: string, name: string, wanted: string): Promise<void> {
  let found = '';
  await mesh
    .until(`${kind} ${name}`, async () => {
      found = await told(kind, name);
      return found === wanted;
    })
    .catch((error: unknown) => {
      assert.equal(found, wanted, String(error));
      throw error;
    });
}

function route(kind: string, name: string, spec: Json = {}): Json {
  return {
    apiVersion: `${GROUP}/v1`,
    kind,
    metadata: { name, namespace: shop },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
      rules: [{ backendRefs: [{ name: 'reviews', port: 80 }] }],
      ...spec,
    },
  };
}

const at = (name: string, more: Json = {}): Json => ({
  parentRefs: [{ group: '', kind: 'Service', name, ...more }],
});
const to = (backend: Json): Json => ({ rules: [{ backendRefs: [{ port: 80, ...backend }] }] });

function gateway(more: Json = {}): Json {
  return {
    apiVersion: `${GROUP}/v1`,
    kind: 'Gateway',
    metadata: { name: 'way', namespace: shop },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE', ...more }],
    },
  };
}

describe('with the CRDs of Gateway API', { timeout: 180_000 }, () => {
  it('both classes are there, with what they can do', async () => {
    for (const name of ['istio-waypoint', 'ambit-waypoint']) {
      const isTold = async (): Promise<boolean> =>
        line((await get('gatewayclass', name)).status?.conditions) ===
        'Accepted=True/Accepted SupportedVersion=True/SupportedVersion';
      // They are made within a minute where the kinds came later than the controller.
      await mesh.until(`class ${name}`, isTold, 90_000);
      const { supportedFeatures = [] } = (await get('gatewayclass', name)).status ?? {};
      const features = supportedFeatures.map((feature) => feature.name);
      for (const one of ['GRPCRoute', 'HTTPRoute', 'Mesh']) assert.ok(features.includes(one), one);
      assert.ok(!features.some((one) => /TLSRoute|UDPRoute|BackendTLSPolicy/.test(one)));
    }
  });

  it('the Gateway of a waypoint has its addresses when it runs, and services are bound to it', async () => {
    await mesh.apply(gateway());
    await kubectl(['-n', shop, 'label', 'service', 'reviews', 'istio.io/use-waypoint=way']);
    await mesh.until('it runs', async () => {
      const { conditions } = (await get('gateway.gateway', 'way')).status ?? {};
      return line(conditions) === 'Accepted=True/Accepted Programmed=True/Programmed';
    });
    const { metadata, status } = await get('gateway.gateway', 'way');
    const { clusterIP } = (await get('service', 'way')).spec;
    assert.deepEqual(status?.addresses, [
      { type: 'IPAddress', value: clusterIP },
      { type: 'Hostname', value: `way.${shop}.svc.cluster.local` },
    ]);
    const [listener, ...more] = status?.listeners ?? [];
    assert.deepEqual([listener?.name, listener?.attachedRoutes, more], ['mesh', 0, []]);
    const conditions = [...(status?.conditions ?? []), ...(listener?.conditions ?? [])];
    for (const { type, observedGeneration } of conditions) {
      assert.equal(observedGeneration, metadata.generation, type);
    }
    await mesh.until('the service is bound', async () => {
      const { conditions: ofService } = (await get('service', 'reviews')).status ?? {};
      return line(ofService) === 'istio.io/WaypointBound=True/WaypointAccepted';
    });
  });

  it('the conditions of a Gateway follow its spec', async () => {
    const says = async (wanted: RegExp): Promise<void> =>
      await mesh.until(`the Gateway says ${wanted}`, async () => {
        const { metadata, status } = await get('gateway.gateway', 'way');
        const conditions = status?.conditions ?? [];
        return (
          wanted.test(line(conditions)) &&
          conditions.every((one) => one.observedGeneration === metadata.generation)
        );
      });
    await mesh.apply(gateway({ protocol: 'example.com/other' }));
    await says(/^Accepted=False\/Invalid Programmed=False\/Invalid$/);
    await mesh.apply(gateway({ allowedRoutes: { namespaces: { from: 'All' } } }));
    await says(/^Accepted=True\/Accepted Programmed=True\/Programmed$/);
  });

  const GOOD = 'Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs';
  const ROUTES: readonly (readonly [kind: string, name: string, spec: () => Json, told: string])[] =
    [
      ['HTTPRoute', 'good', () => at('reviews'), GOOD],
      ['GRPCRoute', 'good', () => ({ ...at('details'), ...to({ name: 'details' }) }), GOOD],
      ['TCPRoute', 'good', () => ({ ...at('stock'), ...to({ name: 'stock' }) }), GOOD],
      [
        'HTTPRoute',
        'across',
        () => ({ ...at('reviews'), ...to({ name: 'ratings', namespace: other }) }),
        GOOD,
      ],
      [
        'HTTPRoute',
        'to-nobody',
        () => ({ ...at('orders'), ...to({ name: 'nobody' }) }),
        'Accepted=True/Accepted ResolvedRefs=False/BackendNotFound',
      ],
      [
        'HTTPRoute',
        'to-a-kind',
        () => ({ ...at('orders'), ...to({ name: 'x', kind: 'ConfigMap' }) }),
        'Accepted=True/Accepted ResolvedRefs=False/InvalidKind',
      ],
      [
        'HTTPRoute',
        'of-nobody',
        () => at('nobody'),
        'Accepted=False/NoMatchingParent ResolvedRefs=True/ResolvedRefs',
      ],
      [
        'HTTPRoute',
        'not-granted',
        () => ({ parentRefs: [{ name: 'way' }], ...to({ name: 'ratings', namespace: other }) }),
        'Accepted=False/UnsupportedValue ResolvedRefs=False/RefNotPermitted',
      ],
      [
        'TLSRoute',
        'unserved',
        () => ({ ...at('orders'), ...to({ name: 'orders' }), hostnames: ['a.example'] }),
        'Accepted=False/UnsupportedValue',
      ],
    ];

  it('routes are told what is so of them', async () => {
    await mesh.apply(...ROUTES.map(([kind, name, spec]) => route(kind, name, spec())));
    for (const [kind, name, , wanted] of ROUTES) await tells(kind, name, wanted);
  });

  it('a policy that is not served says so, at its target', async () => {
    await mesh.apply({
      apiVersion: `${GROUP}/v1`,
      kind: 'BackendTLSPolicy',
      metadata: { name: 'tls', namespace: shop },
      spec: {
        targetRefs: [{ group: '', kind: 'Service', name: 'orders' }],
        validation: { hostname: 'a.example', wellKnownCACertificates: 'System' },
      },
    });
    await tells('BackendTLSPolicy', 'tls', 'Accepted=False/Invalid');
  });

  it('routes are told anew when what they refer to changes, or they do', async () => {
    await mesh.apply(service({ name: 'nobody', namespace: shop }), {
      apiVersion: `${GROUP}/v1`,
      kind: 'ReferenceGrant',
      metadata: { name: 'grant', namespace: other },
      spec: {
        from: [{ group: GROUP, kind: 'HTTPRoute', namespace: shop }],
        to: [{ group: '', kind: 'Service' }],
      },
    });
    const refused = 'Accepted=False/UnsupportedValue';
    await tells('HTTPRoute', 'to-nobody', GOOD);
    await tells('HTTPRoute', 'of-nobody', GOOD);
    await tells('HTTPRoute', 'not-granted', `${refused} ResolvedRefs=True/ResolvedRefs`);
    await kubectl(['-n', other, 'delete', `referencegrant.${GROUP}`, 'grant']);
    await mesh.apply(route('HTTPRoute', 'good', { ...at('reviews', { port: 81 }) }));
    await tells('HTTPRoute', 'not-granted', `${refused} ResolvedRefs=False/RefNotPermitted`);
    await tells(
      'HTTPRoute',
      'good',
      'Accepted=False/NoMatchingParent ResolvedRefs=True/ResolvedRefs',
    );
    assert.equal((await get(`httproute.${GROUP}`, 'good')).metadata.generation, 2);
  });
});
