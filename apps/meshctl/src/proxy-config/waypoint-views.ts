/** What only waypoints have: routes, clusters, and the services that they listen for. */
import { fieldAt, listAt, numberAt, textAt } from '../install/cluster.ts';
import { type ProxyDump, portsOf, type Row, textsAt, vipsOf } from './dump.ts';

export const WAYPOINT_LISTENER_COLUMNS = ['ADDRESS', 'PORT', 'MATCH', 'DESTINATION'];

export function waypointListenerRows({ json }: ProxyDump): readonly Row[] {
  const own: readonly Row[] = [
    {
      cells: ['::', '15008', 'tunnel (HBONE), mTLS', 'the services below'],
      data: { address: '::', port: 15_008, protocol: 'HBONE' },
      ports: [15_008],
    },
  ];
  const inside = servicesOfWaypoint(json).flatMap((service) =>
    portsOf(service, 'ports').map(({ port, protocol }) => {
      const fqdn = textAt(service, 'hostname');
      const addresses = vipsOf(service);
      return {
        cells: [addresses.join(',') || fqdn, String(port), protocol, `outbound|${port}||${fqdn}`],
        data: { addresses, port, protocol, service: fqdn },
        namespace: textAt(service, 'namespace'),
        fqdn,
        ports: [port],
        addresses,
      };
    }),
  );
  return [...own, ...inside];
}

/** Services that are sent through a waypoint; where none is, all that it knows. */
function servicesOfWaypoint(json: unknown): readonly unknown[] {
  const all = listAt(json, 'services');
  const bound = all.filter((service) => fieldAt(service, 'waypoint') !== undefined);
  return bound.length > 0 ? bound : all;
}

export const ROUTE_COLUMNS = ['NAME', 'DOMAINS', 'MATCH', 'DESTINATION'];

export function routeRows({ json }: ProxyDump): readonly Row[] {
  return listAt(json, 'objects').flatMap((object): readonly Row[] => {
    switch (textAt(object, 'kind')) {
      case 'VirtualService':
        return virtualServiceRows(object);
      case 'HTTPRoute':
      case 'GRPCRoute':
      case 'TCPRoute':
        return gatewayRouteRows(object);
      default:
        return [];
    }
  });
}

function keyOf(object: unknown): string {
  return `${textAt(object, 'kind')}/${textAt(object, 'metadata', 'namespace')}/${textAt(object, 'metadata', 'name')}`;
}

function virtualServiceRows(object: unknown): readonly Row[] {
  const hosts = textsAt(object, 'spec', 'hosts');
  return (['http', 'tcp', 'tls'] as const).flatMap((protocol) =>
    listAt(object, 'spec', protocol).map((rule, i) => {
      const matches = listAt(rule, 'match').map(istioMatch);
      const targets = listAt(rule, 'route').map((route) => {
        const destination = fieldAt(route, 'destination');
        const subset = textAt(destination, 'subset');
        return weighted(
          `${textAt(destination, 'host')}${subset === '' ? '' : `/${subset}`}`,
          route,
        );
      });
      return row(object, {
        name: `${keyOf(object)}.${textAt(rule, 'name') || `${protocol}[${i}]`}`,
        domains: hosts,
        match: matches.join(' or ') || '*',
        target: targets.join(', ') || otherEnd(rule),
      });
    }),
  );
}

function gatewayRouteRows(object: unknown): readonly Row[] {
  const hostnames = textsAt(object, 'spec', 'hostnames');
  const parents = listAt(object, 'spec', 'parentRefs').map(
    (ref) => `${textAt(ref, 'kind')}/${textAt(ref, 'name')}`,
  );
  return listAt(object, 'spec', 'rules').map((rule, i) => {
    const targets = listAt(rule, 'backendRefs').map((ref) =>
      weighted(`${textAt(ref, 'name')}:${numberAt(ref, 'port')}`, ref),
    );
    return row(object, {
      name: `${keyOf(object)}.${textAt(rule, 'name') || `rules[${i}]`}`,
      domains: hostnames.length > 0 ? hostnames : parents,
      match: listAt(rule, 'matches').map(gatewayMatch).join(' or ') || '*',
      target: targets.join(', ') || otherEnd(rule),
    });
  });
}

interface RouteFacts {
  readonly name: string;
  readonly domains: readonly string[];
  readonly match: string;
  readonly target: string;
}

function row(object: unknown, { name, domains, match, target }: RouteFacts): Row {
  return {
    cells: [name, domains.join(' '), match, target],
    data: { name, domains, match, destination: target },
    namespace: textAt(object, 'metadata', 'namespace'),
    fqdn: domains.join(' '),
  };
}

function weighted(target: string, entry: unknown): string {
  const weight = fieldAt(entry, 'weight');
  return typeof weight === 'number' ? `${target} ${weight}%` : target;
}

/** A rule that sends nothing on. */
function otherEnd(rule: unknown): string {
  for (const [field, text] of [
    ['redirect', 'redirect'],
    ['directResponse', 'answered here'],
    ['delegate', 'delegated'],
  ] as const) {
    if (fieldAt(rule, field) !== undefined) return text;
  }
  const filters = listAt(rule, 'filters').map((filter) => textAt(filter, 'type'));
  return filters.includes('RequestRedirect') ? 'redirect' : 'nobody (500)';
}

function istioMatch(match: unknown): string {
  const parts = ['uri', 'method', 'authority', 'scheme'].flatMap((field) => {
    const text = patternText(fieldAt(match, field));
    return text === '' ? [] : [field === 'uri' ? text : `${field}=${text}`];
  });
  const headers = Object.keys((fieldAt(match, 'headers') as object | undefined) ?? {});
  const port = fieldAt(match, 'port');
  const all = [
    ...parts,
    ...headers.map((name) => `header ${name}`),
    ...(typeof port === 'number' ? [`port ${port}`] : []),
    ...textsAt(match, 'sniHosts').map((host) => `sni ${host}`),
  ];
  return all.join(' and ') || '*';
}

function patternText(pattern: unknown): string {
  const kinds = [
    ['exact', (value: string) => value],
    ['prefix', (value: string) => `${value}*`],
    ['regex', (value: string) => `~${value}`],
  ] as const;
  for (const [kind, show] of kinds) {
    const value =
      textAt(pattern, kind) || (textAt(pattern, 'kind') === kind ? textAt(pattern, 'value') : '');
    if (value !== '') return show(value);
  }
  return '';
}

function gatewayMatch(match: unknown): string {
  const path = textAt(match, 'path', 'value');
  const type = textAt(match, 'path', 'type');
  const method = textAt(match, 'method');
  const all = [
    ...(path === ''
      ? []
      : [type === 'PathPrefix' ? `${path}*` : type === 'Exact' ? path : `~${path}`]),
    ...(method === '' ? [] : [`method=${method}`]),
    ...listAt(match, 'headers').map((one) => `header ${textAt(one, 'name')}`),
    ...listAt(match, 'queryParams').map((one) => `query ${textAt(one, 'name')}`),
  ];
  return all.join(' and ') || '*';
}

export const CLUSTER_COLUMNS = [
  'SERVICE FQDN',
  'PORT',
  'SUBSET',
  'DIRECTION',
  'ACTIVE',
  'EJECTED',
  'DESTINATION RULE',
];

/** Those that requests have gone to; of several workers joined. */
export function clusterRows({ json }: ProxyDump): readonly Row[] {
  const byName = new Map<string, { active: number; ejected: Set<string>; objects: Set<string> }>();
  for (const one of listAt(json, 'clusters').flatMap((worker) =>
    Array.isArray(worker) ? worker : [],
  )) {
    const name = textAt(one, 'name');
    const known = byName.get(name) ?? {
      active: 0,
      ejected: new Set<string>(),
      objects: new Set<string>(),
    };
    known.active += numberAt(one, 'active');
    for (const ejected of listAt(one, 'ejected')) known.ejected.add(String(ejected));
    for (const key of textsAt(one, 'objects')) known.objects.add(key);
    byName.set(name, known);
  }
  return [...byName].map(([name, { active, ejected, objects }]) => {
    const [direction = '', port = '', subset = '', fqdn = ''] = name.split('|');
    return {
      cells: [
        fqdn,
        port,
        subset,
        direction,
        String(active),
        [...ejected].join(','),
        [...objects].map((key) => key.replace('DestinationRule/', '')).join(','),
      ],
      data: {
        name,
        fqdn,
        port: Number(port),
        subset,
        active,
        ejected: [...ejected],
        objects: [...objects],
      },
      fqdn,
      ports: [Number(port)],
    };
  });
}

export const OBJECT_POLICY_COLUMNS = ['NAMESPACE', 'POLICY NAME', 'ACTION', 'KIND'];

export function waypointPolicyRows({ json }: ProxyDump): readonly Row[] {
  const kinds = ['AuthorizationPolicy', 'RequestAuthentication', 'PeerAuthentication'];
  return listAt(json, 'objects')
    .filter((object) => kinds.includes(textAt(object, 'kind')))
    .map((object) => {
      const namespace = textAt(object, 'metadata', 'namespace');
      return {
        cells: [
          namespace,
          textAt(object, 'metadata', 'name'),
          textAt(object, 'spec', 'action'),
          textAt(object, 'kind'),
        ],
        data: object,
        namespace,
      };
    });
}
