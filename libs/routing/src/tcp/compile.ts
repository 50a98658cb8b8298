/**
 * TCP routes of one service: VirtualService `tls` and `tcp`, and TCPRoute, into one table.
 *
 * A TCPRoute attached to the port beats VirtualServices. Conditions on the caller's labels and
 * namespace hold here too. When rules exist and none matches, the connection is refused.
 */
import type { BackendRef, Destination, L4Match, TCPRoute, VirtualService } from '@ambit/api';
import { cidrContains, hostMatches, matchesLabels, objectKey, parseCidr } from '@ambit/api';
import type { RouteScope } from '../http/compile.ts';

import {
  MESH_GATEWAY,
  resolveDestination,
  selectVirtualServices,
} from '../http/compile-virtual-service.ts';
import { isParent, resolveBackend } from '../http/references.ts';
import type { HttpSource } from '../http/request.ts';
import type { ClusterRef, RouteOrigin } from '../http/route-table.ts';
import { compareAge } from '../objects.ts';
import { exportedTo } from '../visibility.ts';

/** A connection as routing sees it. */
export interface TcpConnectionView {
  /** The address that was dialled, 4 or 16 bytes. */
  readonly destinationIp: Uint8Array;
  /** The service port. */
  readonly port: number;
  /** Of the TLS hello, where the stream is TLS. */
  readonly sni?: string;
  readonly source: HttpSource;
}

export interface TcpShare {
  readonly weight: number;
  readonly target:
    | { readonly kind: 'cluster'; readonly cluster: ClusterRef }
    | { readonly kind: 'invalid'; readonly text: string };
}

export interface TcpRuleEntry {
  readonly origin: RouteOrigin;
  readonly visibleTo?: ReadonlySet<string>;
  readonly conditions: string;
  /** Port and caller: rules that do not concern a connection leave it the default. */
  readonly concerns: (connection: TcpConnectionView) => boolean;
  /** Address and SNI: where rules concern a connection and none matches, it is refused. */
  readonly matches: (connection: TcpConnectionView) => boolean;
  /** Not empty. */
  readonly shares: readonly TcpShare[];
}

export interface TcpRouteTable {
  readonly service: { readonly namespace: string; readonly hostname: string };
  /** TCPRoutes by namespace of the caller (consumer), then those of the service's own. */
  readonly consumers: ReadonlyMap<string, readonly TcpRuleEntry[]>;
  readonly producer: readonly TcpRuleEntry[];
  readonly virtualServices: readonly TcpRuleEntry[];
}

export interface TcpRouteInput extends RouteScope {
  readonly virtualServices: readonly VirtualService[];
  readonly tcpRoutes: readonly TCPRoute[];
}

export function compileTcpRoutes(input: TcpRouteInput): TcpRouteTable {
  const { service } = input;
  const consumers = new Map<string, TcpRuleEntry[]>();
  const producer: TcpRuleEntry[] = [];
  for (const route of [...input.tcpRoutes].sort(compareAge)) {
    const { namespace } = route.metadata;
    const entries = compileTcpRoute(route, input);
    if (entries.length === 0) continue;
    if (namespace === service.namespace) producer.push(...entries);
    else consumers.set(namespace, [...(consumers.get(namespace) ?? []), ...entries]);
  }
  return {
    service: { namespace: service.namespace, hostname: service.hostname },
    consumers,
    producer,
    virtualServices: selectVirtualServices(input.virtualServices, input).flatMap((object) =>
      compileObject(object, input),
    ),
  };
}

function compileTcpRoute(route: TCPRoute, scope: RouteScope): readonly TcpRuleEntry[] {
  const parents = route.spec.parentRefs.filter((parent) => isParent(parent, route, scope.service));
  if (parents.length === 0) return [];
  const ports = new Set(parents.flatMap(({ port }) => (port === undefined ? [] : [port])));
  const isEveryPort = parents.some(({ port }) => port === undefined);
  const { namespace } = route.metadata;
  return route.spec.rules.map((rule, index) => ({
    origin: { object: objectKey(route), path: `spec.rules[${index}]` },
    conditions: isEveryPort ? 'every connection' : `port ${[...ports].join(' or ')}`,
    concerns: ({ port }: TcpConnectionView) => isEveryPort || ports.has(port),
    matches: () => true,
    shares: orInvalid(
      rule.backendRefs.map((backend: BackendRef) => ({
        weight: backend.weight,
        target: shareTarget(resolveBackend(backend, { scope, namespace })),
      })),
    ),
  }));
}

/** `tls` before `tcp`, each in the order written. */
function compileObject(object: VirtualService, scope: RouteScope): readonly TcpRuleEntry[] {
  const tls = object.spec.tls.flatMap((rule, index) =>
    compileL4Rule(rule, { object, scope, path: `spec.tls[${index}]` }),
  );
  const tcp = object.spec.tcp.flatMap((rule, index) =>
    compileL4Rule(rule, { object, scope, path: `spec.tcp[${index}]` }),
  );
  return [...tls, ...tcp];
}

interface L4RuleContext {
  readonly object: VirtualService;
  readonly scope: RouteScope;
  readonly path: string;
}

interface L4Rule {
  readonly match: readonly (L4Match & { readonly sniHosts?: readonly string[] })[];
  readonly route: readonly { readonly destination: Destination; readonly weight: number }[];
}

function compileL4Rule(rule: L4Rule, context: L4RuleContext): readonly TcpRuleEntry[] {
  const { object, path } = context;
  const isMesh = object.spec.gateways.includes(MESH_GATEWAY);
  const visibleTo = exportedTo(object.spec.exportTo, object.metadata.namespace);
  const shares = orInvalid(
    rule.route.map(({ destination, weight }) => ({
      weight: rule.route.length === 1 ? 1 : weight,
      target: shareTarget(resolveDestination(destination, context)),
    })),
  );
  const common = { shares, ...(visibleTo === 'all' ? {} : { visibleTo }) };
  if (rule.match.length === 0) {
    if (!isMesh) return [];
    const origin = { object: objectKey(object), path };
    return [
      {
        ...common,
        origin,
        conditions: 'every connection',
        concerns: () => true,
        matches: () => true,
      },
    ];
  }
  return rule.match.flatMap((match, index) => {
    const inMesh = match.gateways.length === 0 ? isMesh : match.gateways.includes(MESH_GATEWAY);
    if (!inMesh) return [];
    const origin = { object: objectKey(object), path: `${path}.match[${index}]` };
    return [{ ...common, origin, ...compileL4Match(match) }];
  });
}

type Test = (connection: TcpConnectionView) => boolean;

function compileL4Match(
  match: L4Rule['match'][number],
): Pick<TcpRuleEntry, 'conditions' | 'concerns' | 'matches'> {
  const { destinationSubnets, sniHosts } = match;
  const concern = concernTests(match);
  const words = [...concern.words];
  const tests: Test[] = [];
  if (destinationSubnets.length > 0) {
    const cidrs = destinationSubnets.flatMap((text) => parseCidr(text) ?? []);
    words.push(`destination in ${destinationSubnets.join(' or ')}`);
    tests.push(({ destinationIp }) => cidrs.some((cidr) => cidrContains(cidr, destinationIp)));
  }
  if (sniHosts !== undefined) {
    words.push(`SNI ${sniHosts.join(' or ')}`);
    tests.push(({ sni }) => sni !== undefined && sniHosts.some((host) => hostMatches(host, sni)));
  }
  // A stream whose SNI is not known is no concern of SNI rules.
  if (sniHosts !== undefined) concern.tests.push(({ sni }) => sni !== undefined);
  return {
    conditions: words.length === 0 ? 'every connection' : words.join(', '),
    concerns: (connection) => concern.tests.every((test) => test(connection)),
    matches: (connection) => tests.every((test) => test(connection)),
  };
}

function concernTests(match: L4Match): { readonly words: string[]; readonly tests: Test[] } {
  const words: string[] = [];
  const tests: Test[] = [];
  const { port, sourceNamespace, sourceLabels } = match;
  if (port !== undefined) {
    words.push(`port ${port}`);
    tests.push((connection) => connection.port === port);
  }
  // With gateways of its own, a block's source conditions are not looked at.
  if (match.gateways.length > 0) return { words, tests };
  if (sourceNamespace !== undefined) {
    words.push(`source namespace "${sourceNamespace}"`);
    tests.push(({ source }) => source.namespace === sourceNamespace);
  }
  if (Object.keys(sourceLabels).length > 0) {
    words.push(`source labels ${JSON.stringify(sourceLabels)}`);
    tests.push(({ source }) => matchesLabels(sourceLabels, source.labels ?? {}));
  }
  return { words, tests };
}

function shareTarget(found: ClusterRef | string): TcpShare['target'] {
  return typeof found === 'string'
    ? { kind: 'invalid', text: found }
    : { kind: 'cluster', cluster: found };
}

/** Shares of 0 are out; no share at all is one that refuses. */
function orInvalid(shares: readonly TcpShare[]): readonly TcpShare[] {
  const used = shares.filter(({ weight }) => weight > 0);
  const text = 'the rule has no destination';
  return used.length > 0 ? used : [{ weight: 1, target: { kind: 'invalid', text } }];
}
