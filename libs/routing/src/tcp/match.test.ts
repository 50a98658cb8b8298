import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { L4Match, TCPRoute, TcpRule, TlsRule } from '@ambit/api';
import { parseIp } from '@ambit/api';
import { meta, routeInput, virtualService } from '../testing-objects.ts';
import type { TcpConnectionView } from './compile.ts';
import { compileTcpRoutes } from './compile.ts';
import { matchTcp } from './match.ts';

function block(over: Partial<L4Match> = {}): L4Match {
  return { destinationSubnets: [], sourceLabels: {}, gateways: [], ...over };
}

function to(host: string, match: readonly L4Match[] = []): TcpRule {
  return { match, route: [{ destination: { host }, weight: 1 }] };
}

function connection(over: Partial<TcpConnectionView> = {}): TcpConnectionView {
  return {
    destinationIp: parseIp('10.96.0.2') ?? new Uint8Array(4),
    port: 80,
    source: { namespace: 'shop', labels: { app: 'a' }, ip: '10.0.0.1' },
    ...over,
  };
}

function tcpRoute(backend: string, namespace = 'shop', port?: number): TCPRoute {
  return {
    kind: 'TCPRoute',
    apiVersion: 'gateway.networking.k8s.io/v1',
    metadata: meta('t', { namespace }),
    spec: {
      parentRefs: [
        {
          group: '',
          kind: 'Service',
          name: 'reviews',
          namespace: 'shop',
          ...(port === undefined ? {} : { port }),
        },
      ],
      rules: [
        {
          backendRefs: [
            { group: '', kind: 'Service', name: backend, namespace: 'shop', port: 80, weight: 1 },
          ],
        },
      ],
    },
  };
}

function outcome(
  spec: { tcp?: readonly TcpRule[]; tls?: readonly TlsRule[]; exportTo?: readonly string[] },
  view = connection(),
  tcpRoutes: readonly TCPRoute[] = [],
): string {
  const virtualServices = [virtualService([], { spec })];
  const table = compileTcpRoutes({ ...routeInput({ virtualServices }), tcpRoutes });
  const decision = matchTcp(table, view);
  if (decision.kind === 'no-route') return decision.flag;
  const target = decision.shares[0]?.target;
  return target?.kind === 'cluster' ? (target.cluster.host.split('.')[0] ?? '') : 'invalid';
}

describe('matchTcp', () => {
  for (const [title, tcp, expected] of [
    ['no rules: the service', [], 'reviews'],
    ['a rule without match', [to('reviews-v1')], 'reviews-v1'],
    ['the port', [to('reviews-v1', [block({ port: 80 })])], 'reviews-v1'],
    [
      'a rule of another port leaves the service',
      [to('reviews-v1', [block({ port: 9 })])],
      'reviews',
    ],
    [
      'source labels',
      [to('reviews-v1', [block({ sourceLabels: { app: 'b' } })]), to('reviews-v2')],
      'reviews-v2',
    ],
    ['source namespace', [to('reviews-v1', [block({ sourceNamespace: 'shop' })])], 'reviews-v1'],
    [
      'a subnet',
      [to('reviews-v1', [block({ destinationSubnets: ['10.96.0.0/16'] })])],
      'reviews-v1',
    ],
    [
      'no subnet matches: refused',
      [to('reviews-v1', [block({ destinationSubnets: ['192.0.2.0/24'] })])],
      'NR',
    ],
    ['a block of another gateway', [to('reviews-v1', [block({ gateways: ['edge'] })])], 'reviews'],
    ['an unknown host', [to('nobody')], 'invalid'],
  ] as const) {
    it(title, () => assert.equal(outcome({ tcp }), expected));
  }

  it('shares connections by weight, and leaves out what has none', () => {
    const route = ['reviews-v1', 'reviews-v2', 'reviews'].map((host, index) => ({
      destination: { host },
      weight: [70, 30, 0][index] ?? 0,
    }));
    const virtualServices = [virtualService([], { spec: { tcp: [{ match: [], route }] } })];
    const table = compileTcpRoutes({ ...routeInput({ virtualServices }), tcpRoutes: [] });
    const decision = matchTcp(table, connection());
    assert.equal(decision.kind, 'route');
    const shares = decision.kind === 'route' ? decision.shares : [];
    assert.deepEqual(
      shares.map(({ weight }) => weight),
      [70, 30],
    );
  });

  it('tries tls before tcp, by SNI', () => {
    const tls: TlsRule[] = [
      {
        match: [{ ...block(), sniHosts: ['*.example.org'] }],
        route: [{ destination: { host: 'reviews-v2' }, weight: 1 }],
      },
    ];
    const tcp = [to('reviews-v1')];
    assert.equal(outcome({ tls, tcp }, connection({ sni: 'a.example.org' })), 'reviews-v2');
    assert.equal(outcome({ tls, tcp }, connection({ sni: 'example.org' })), 'reviews-v1');
    assert.equal(outcome({ tls, tcp }), 'reviews-v1');
    assert.equal(outcome({ tls }), 'reviews');
    assert.equal(outcome({ tls }, connection({ sni: 'example.org' })), 'NR');
  });

  it('prefers TCPRoutes on their ports: consumer, producer, then VirtualService', () => {
    const tcp = [to('reviews-v1')];
    const producer = tcpRoute('reviews-v2');
    const consumer = tcpRoute('many', 'other');
    const other = connection({ source: { namespace: 'other', ip: '10.0.0.1' } });
    assert.equal(outcome({ tcp }, connection(), [producer, consumer]), 'reviews-v2');
    assert.equal(outcome({ tcp }, other, [producer, consumer]), 'many');
    assert.equal(
      outcome({ tcp }, connection(), [tcpRoute('reviews-v2', 'shop', 81)]),
      'reviews-v1',
    );
  });

  it('is not met by callers that exportTo leaves out', () => {
    const spec = { tcp: [to('reviews-v1')], exportTo: ['.'] };
    assert.equal(outcome(spec), 'reviews-v1');
    assert.equal(
      outcome(spec, connection({ source: { namespace: 'x', ip: '1.1.1.1' } })),
      'reviews',
    );
  });
});
