/**
 * Fields that are valid but that the data plane does not serve yet, in one table. Nothing is ignored in
 * silence: each use is a finding, which conditions show. What concerns security fails closed.
 */
import { findingAt } from './schema/issues.ts';
import type { Finding } from './types/finding.ts';
import { INBOUND_BINDING } from './value/inbound-binding.ts';
import { isRecord, type Path, valueAt } from './value/path.ts';
import { expandPattern } from './value/pattern.ts';

export interface UnsupportedField {
  readonly kinds: readonly string[];
  /** Pattern of `value/pattern.ts`. */
  readonly path: string;
  /** `ignored`: the rest of the object works. `fails-closed`: what it would have decided is refused. */
  readonly effect: 'ignored' | 'fails-closed';
  /** False: no type carries the field, so it is removed before the schema reads the object. */
  readonly isCarried: boolean;
  /** What happens now. */
  readonly says: string;
  readonly when?: (value: unknown, object: Readonly<Record<string, unknown>>) => boolean;
}

/** Where a DestinationRule has a traffic policy. */
export const POLICY_PLACES: readonly string[] = [
  'spec.trafficPolicy',
  'spec.trafficPolicy.portLevelSettings[]',
  'spec.subsets[].trafficPolicy',
  'spec.subsets[].trafficPolicy.portLevelSettings[]',
];

/** Classes of a Gateway that is a waypoint. */
export const WAYPOINT_CLASSES: readonly string[] = ['istio-waypoint', 'ambit-waypoint'];

type Row = Omit<UnsupportedField, 'kinds' | 'path'>;

const ignored = (says: string): Row => ({ effect: 'ignored', isCarried: false, says });
const carried = (says: string): Row => ({ effect: 'ignored', isCarried: true, says });
const closed = (says: string): Row => ({ effect: 'fails-closed', isCarried: true, says });

function rows(kind: string, fields: Readonly<Record<string, Row>>): readonly UnsupportedField[] {
  return Object.entries(fields).map(([path, row]) => ({ kinds: [kind], path, ...row }));
}

function policyRows(fields: Readonly<Record<string, Row>>): readonly UnsupportedField[] {
  return POLICY_PLACES.flatMap((place) =>
    rows(
      'DestinationRule',
      Object.fromEntries(Object.entries(fields).map(([path, row]) => [`${place}.${path}`, row])),
    ),
  );
}

const isUnservedKey = (value: unknown): boolean =>
  typeof value === 'string' &&
  /^(?:request\.auth\.|remote\.ip$|connection\.sni$|experimental\.)/.test(value);

const NEEDS_TOKEN = closed(
  'tokens are not verified yet: an ALLOW rule with it never matches, a DENY rule matches whatever else it says',
);
const NEEDS_FORWARDED = closed(
  'addresses from X-Forwarded-For are not trusted yet: an ALLOW rule with it never matches, a DENY rule matches whatever else it says',
);

export const UNSUPPORTED_FIELDS: readonly UnsupportedField[] = [
  ...rows('VirtualService', {
    'spec.http[].corsPolicy': carried('preflights and CORS headers are left to the application'),
    'spec.http[].delegate': closed('requests that reach this rule are refused'),
    'spec.http[].match[].headers.{@request.auth.claims}': closed(
      'tokens are not verified yet: the match is never true',
    ),
    'spec.http[].match[].withoutHeaders.{@request.auth.claims}': closed(
      'tokens are not verified yet: the claim counts as absent',
    ),
    'spec.http[].fault.abort.http2Error': ignored('a request is aborted with a status only'),
    'spec.http[].fault.delay.exponentialDelay': ignored('a delay is fixed'),
    'spec.tcp[].match[].sourceSubnet': ignored('callers are told apart by their labels'),
    'spec.http[].match[].statPrefix': ignored('metrics carry the names of rule and match instead'),
    'spec.http[].retries.retryRemoteLocalities': ignored('retries choose among all endpoints'),
    'spec.tls[]': carried('TLS of applications is forwarded to the service it was sent to'),
    'spec.gateways[]': {
      ...carried(
        'ingress gateways are not served yet: the rules hold inside the mesh only if mesh is listed',
      ),
      when: (value) => value !== 'mesh',
    },
  }),
  ...policyRows({
    'loadBalancer.consistentHash': carried('requests are balanced by least request'),
    'loadBalancer.localityLbSetting': ignored('endpoints are chosen without regard to locality'),
    'loadBalancer.warmup': ignored('new endpoints get their full share at once'),
    'loadBalancer.warmupDurationSecs': ignored('new endpoints get their full share at once'),
    'loadBalancer.zoneAwareLbSetting': ignored('endpoints are chosen without regard to locality'),
    'connectionPool.http.http2KeepAlive': ignored('tunnels have keepalives of their own'),
    'outlierDetection.outlierDetectionHttpErrorCodes': ignored('every 5xx counts as an error'),
    'tls.mode': {
      ...closed(
        'TLS to the backend is not originated yet: connections are refused, never sent in clear',
      ),
      when: (value) => value === 'SIMPLE' || value === 'MUTUAL',
    },
    'tls.clientCertificate': {
      ...closed('TLS to the backend is not originated yet'),
      isCarried: false,
    },
    'tls.privateKey': { ...closed('TLS to the backend is not originated yet'), isCarried: false },
    'tls.caCrl': { ...closed('TLS to the backend is not originated yet'), isCarried: false },
    tunnel: ignored('connections go to the destination directly'),
    proxyProtocol: ignored('no PROXY header is sent'),
    retryBudget: ignored('retries are limited by connectionPool.http.maxRetries only'),
  }),
  ...rows('DestinationRule', {
    'spec.workloadSelector': carried('a rule for selected clients is not applied'),
  }),
  ...rows('ServiceEntry', {
    'spec.resolution': {
      ...closed('names behind a wildcard are not resolved yet: connections are refused'),
      when: (value) => value === 'DYNAMIC_DNS',
    },
  }),
  ...rows('AuthorizationPolicy', {
    'spec.action': {
      ...closed('external authorisers are not asked yet: every request in its scope is denied'),
      when: (value) => value === 'CUSTOM',
    },
    'spec.rules[].from[].source.requestPrincipals': NEEDS_TOKEN,
    'spec.rules[].from[].source.notRequestPrincipals': NEEDS_TOKEN,
    'spec.rules[].from[].source.remoteIpBlocks': NEEDS_FORWARDED,
    'spec.rules[].from[].source.notRemoteIpBlocks': NEEDS_FORWARDED,
    'spec.rules[].when[].key': {
      ...closed(
        'the attribute is not known yet: an ALLOW rule with it never matches, a DENY rule matches whatever else it says',
      ),
      when: isUnservedKey,
    },
  }),
  ...rows('RequestAuthentication', {
    spec: closed('tokens are not verified yet: no request counts as authenticated'),
  }),
  ...rows('PeerAuthentication', {
    'spec.mtls.mode': {
      ...carried('mTLS is always offered between enrolled pods: it counts as PERMISSIVE'),
      when: (value) => value === 'DISABLE',
    },
    'spec.portLevelMtls.*.mode': {
      ...carried('mTLS is always offered between enrolled pods: it counts as PERMISSIVE'),
      when: (value) => value === 'DISABLE',
    },
  }),
  ...rows('Gateway', {
    'spec.gatewayClassName': {
      ...carried(
        'only waypoints (istio-waypoint, ambit-waypoint) are served: nothing listens for this Gateway, unless its class has ambient.istio.io/waypoint-inbound-binding',
      ),
      when: (value, object) =>
        typeof value === 'string' &&
        !WAYPOINT_CLASSES.includes(value) &&
        valueAt(object, ['metadata', 'annotations', INBOUND_BINDING]) === undefined,
    },
    'spec.listeners[].tls': ignored(
      'the waypoint always speaks mTLS with the identities of the mesh',
    ),
    'spec.listeners[].allowedRoutes.kinds': ignored('every kind of route may attach'),
    'spec.backendTLS': ignored('backends are reached by mTLS of the mesh'),
    'spec.tls': ignored('the waypoint always speaks mTLS with the identities of the mesh'),
    'spec.allowedListeners': ignored('listeners of other objects are not added'),
    'spec.defaultScope': ignored('routes attach where they say so'),
  }),
  ...['GRPCRoute', 'HTTPRoute', 'TCPRoute'].flatMap((kind) =>
    rows(kind, {
      'spec.parentRefs[]': {
        ...carried('ingress gateways are not served yet: attach the route to a Service'),
        when: (value) => isRecord(value) && (value['kind'] ?? 'Gateway') === 'Gateway',
      },
      'spec.useDefaultGateways': ignored('routes attach where they say so'),
    }),
  ),
  ...rows('HTTPRoute', {
    'spec.rules[].sessionPersistence': ignored(
      'requests of a session may reach different backends',
    ),
    'spec.rules[].timeouts.streamIdle': ignored('streams are limited by request only'),
  }),
  ...rows('GRPCRoute', {
    'spec.rules[].sessionPersistence': ignored(
      'requests of a session may reach different backends',
    ),
  }),
  ...rows('Service', {
    'spec.type': {
      ...carried(
        'the name is looked up by DNS outside the mesh; write a ServiceEntry to have it in the mesh',
      ),
      when: (value) => value === 'ExternalName',
    },
    'spec.sessionAffinity': {
      ...carried('connections of a client may reach different endpoints'),
      when: (value) => value === 'ClientIP',
    },
  }),
];

/** Patterns of fields that a kind knows although its schema does not. */
export function knownUnsupportedPaths(kind: string): readonly string[] {
  return UNSUPPORTED_FIELDS.filter((field) => field.kinds.includes(kind) && !field.isCarried).map(
    ({ path }) => path,
  );
}

/** Reports unsupported fields of `value` and removes, in place, those that no type carries. */
export function setAsideUnsupported(
  kind: string,
  value: Record<string, unknown>,
): { readonly value: Record<string, unknown>; readonly findings: readonly Finding[] } {
  const findings: Finding[] = [];
  for (const field of UNSUPPORTED_FIELDS) {
    if (!field.kinds.includes(kind)) continue;
    for (const path of expandPattern(value, field.path)) {
      const found = valueAt(value, path);
      if (field.when !== undefined && !field.when(found, value)) continue;
      const effect =
        field.effect === 'ignored'
          ? 'is not supported yet and ignored'
          : 'is not supported yet and fails closed';
      findings.push(
        findingAt(value, {
          code: 'UNSUPPORTED_FIELD',
          severity: 'warning',
          path,
          message: `${effect}: ${field.says}`,
        }),
      );
      if (!field.isCarried) removeAt(value, path);
    }
  }
  return { value, findings };
}

function removeAt(root: unknown, path: Path): void {
  const parent = valueAt(root, path.slice(0, -1));
  const key = path.at(-1);
  if (isRecord(parent) && typeof key === 'string') delete parent[key];
}
