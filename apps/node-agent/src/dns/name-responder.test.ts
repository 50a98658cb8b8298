import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { MeshIndex, type MeshService } from '@ambit/model';
import type { Netns } from '@ambit/netns';
import { createRegistry, silentLogger } from '@ambit/telemetry';
import { decode, encode } from 'dns-packet';
import fc from 'fast-check';
import { createDnsMetrics } from './dns-metrics.ts';
import { NameResponder, UPSTREAM_IN_FLIGHT_MAX, type UpstreamNames } from './name-responder.ts';

const SERVICE: MeshService = {
  name: 'reviews',
  namespace: 'shop',
  hostname: 'reviews.shop.svc.cluster.local',
  addresses: ['10.96.0.1', '10.96.0.2', '10.96.0.3'].map((address) => ({ network: '', address })),
  ports: [],
  subjectAltNames: [],
  ipFamilies: 'AUTOMATIC',
  canonical: true,
  ingressUseWaypoint: false,
};

function setUp(upstream: UpstreamNames) {
  const view = new MeshIndex({ network: '' });
  view.apply({ changed: [{ kind: 'service', service: SERVICE }], removed: [] });
  const clock = new FakeClock();
  const registry = createRegistry();
  const responder = new NameResponder({
    pod: {
      uid: 'u',
      name: 'p',
      namespace: 'shop',
      serviceAccount: 'default',
      labels: {},
      annotations: {},
      netnsPath: '/x',
      ips: [],
    },
    ns: { fd: -1, id: '0:0', [Symbol.dispose]: () => undefined } satisfies Netns,
    view,
    clusterDomain: 'cluster.local',
    isIpv6Enabled: true,
    upstream,
    clock,
    log: silentLogger(),
    metrics: createDnsMetrics(registry),
    canonicalNameOf: () => ({ name: 'client', revision: 'v1' }),
    random: () => 0,
  });
  return { responder, registry };
}

const NOBODY: UpstreamNames = { ask: () => Promise.reject(new Error('nobody is there')) };
const question = (name: string, type: 'A' | 'TXT' = 'A'): Buffer =>
  encode({ type: 'query', id: 9, questions: [{ type, name }] });

describe('NameResponder', () => {
  it('answers from the mesh without asking upstream, shuffled', async () => {
    const { responder, registry } = setUp(NOBODY);
    const answer = await responder.respond(question('reviews'), 'udp');
    const records = decode(Buffer.from(answer ?? [])).answers ?? [];
    assert.deepEqual(
      records.map((record) => ('data' in record ? record.data : '')),
      ['10.96.0.2', '10.96.0.3', '10.96.0.1'],
    );
    assert.match(
      await registry.metrics(),
      /istio_dns_requests_total\{request_query_type="A",request_protocol="udp",source_canonical_service="client",source_canonical_revision="v1"\} 1/,
    );
  });

  it('passes every other question and its answer on byte for byte', async () => {
    const seen: Uint8Array[] = [];
    const reply = Buffer.from('whatever upstream says');
    const { responder } = setUp({
      ask: (_ns, query) => {
        seen.push(query);
        return Promise.resolve(reply);
      },
    });
    for (const query of [question('example.com'), question('reviews', 'TXT')]) {
      assert.equal(await responder.respond(query, 'tcp'), reply);
      assert.equal(seen.pop(), query);
    }
  });

  it('says that the server failed when upstream does', async () => {
    const { responder, registry } = setUp(NOBODY);
    const answer = await responder.respond(question('example.com'), 'udp');
    assert.equal((answer?.[3] ?? 0) & 15, 2);
    assert.match(await registry.metrics(), /istio_dns_upstream_failures_total\{.*\} 1/);
  });

  it('refuses beyond its bound at once, and counts it', async () => {
    const waiting: ((bytes: Uint8Array) => void)[] = [];
    const { responder, registry } = setUp({
      ask: () => new Promise((resolve) => waiting.push(resolve)),
    });
    const asked = Array.from({ length: UPSTREAM_IN_FLIGHT_MAX }, () =>
      responder.respond(question('example.com'), 'udp'),
    );
    const refused = await responder.respond(question('example.com'), 'udp');
    assert.equal((refused?.[3] ?? 0) & 15, 2);
    assert.match(
      await registry.metrics(),
      /ambit_dns_refused_total\{limit="upstream_in_flight"\} 1/,
    );
    for (const resolve of waiting) {
      resolve(Buffer.alloc(12));
    }
    await Promise.all(asked);
    const again = responder.respond(question('example.com'), 'udp');
    waiting.at(-1)?.(Buffer.from('again'));
    assert.equal((await again)?.toString(), 'again');
  });

  it('survives any bytes, over both transports', async () => {
    const { responder } = setUp({ ask: () => Promise.resolve(Buffer.alloc(12)) });
    const header = fc
      .tuple(fc.uint8Array({ minLength: 2, maxLength: 2 }), fc.uint8Array({ maxLength: 300 }))
      .map(([id, rest]) => Buffer.concat([id, Buffer.from([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), rest]));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.uint8Array({ maxLength: 300 }), header),
        fc.constantFrom('udp' as const, 'tcp' as const),
        async (bytes, transport) => {
          const answer = await responder.respond(bytes, transport);
          assert.ok(answer === undefined ? bytes.length < 12 : answer.length >= 12);
        },
      ),
      { numRuns: 500 },
    );
  });
});
