/**
 * For which ports of a service a VirtualService has rules, and at which of them the Gateway API routes of the service's namespace leave
 * calls to it.
 *
 * Rule: as the waypoint does. HTTPRoutes and GRPCRoutes take what `http` is for and TCPRoutes what `tcp` and `tls` are for, each at the ports
 * of its parents and nowhere else.
 */
import type { VirtualService } from '@ambit/api';

import { holdsInMesh, matchesInMesh } from '../objects/mesh-rules.ts';
import { type Route, targetBucket } from '../objects/sources.ts';
import type { ServicePortSpec, ServiceSpec } from '../service/services.ts';

export type TakenPorts = 'all' | readonly number[];

/** What routes of the service's own namespace take. */
export interface OwnPorts {
  readonly http: TakenPorts;
  readonly stream: TakenPorts;
}

export interface LeftPorts {
  /** It has rules for what some port speaks. */
  readonly isForAny: boolean;
  /** It has, and no route takes all of those ports. */
  readonly isLeft: boolean;
  /** Those that routes take of it. */
  readonly taken: readonly number[];
}

export function ownPortsOf(routes: readonly Route[], service: ServiceSpec): OwnPorts {
  const isStream = ({ kind }: Route): boolean => kind === 'TCPRoute';
  return {
    http: parentPorts(
      routes.filter((route) => !isStream(route)),
      service,
    ),
    stream: parentPorts(routes.filter(isStream), service),
  };
}

function parentPorts(routes: readonly Route[], { object }: ServiceSpec): TakenPorts {
  const ports = routes.flatMap(({ metadata, spec }) =>
    spec.parentRefs
      .filter((ref) => targetBucket(ref, metadata.namespace) === object)
      .map(({ port }) => port),
  );
  const numbers = ports.filter((port) => port !== undefined);
  return numbers.length < ports.length ? 'all' : [...new Set(numbers)].sort((a, b) => a - b);
}

export function leftTo(
  { spec }: Pick<VirtualService, 'spec'>,
  { ports }: Pick<ServiceSpec, 'ports'>,
  { http, stream }: OwnPorts,
): LeftPorts {
  const asked = ports.filter(({ isTcp }) => isTcp);
  // A request that none of its rules is for is refused, at every port.
  const forHttp = spec.http.some(holdsInMesh) ? asked.filter(mayBeHttp) : [];
  const forStream = asked.filter(
    (port) => mayBeStream(port) && isAsked(port, [...spec.tls, ...spec.tcp]),
  );
  const takenOf = (found: readonly ServicePortSpec[], taken: TakenPorts) =>
    found.filter(({ servicePort }) => taken === 'all' || taken.includes(servicePort));
  const taken = [...takenOf(forHttp, http), ...takenOf(forStream, stream)];
  const all = forHttp.length + forStream.length;
  return {
    isForAny: all > 0,
    isLeft: taken.length < all,
    taken: [...new Set(taken.map(({ servicePort }) => servicePort))],
  };
}

interface Rule {
  readonly match: readonly { readonly port?: number; readonly gateways: readonly string[] }[];
}

function isAsked({ servicePort }: ServicePortSpec, rules: readonly Rule[]): boolean {
  return rules.some(
    ({ match }) =>
      match.length === 0 ||
      match.filter(matchesInMesh).some(({ port }) => port === undefined || port === servicePort),
  );
}

/** Of an undeclared one the first bytes say it. */
function mayBeHttp({ appProtocol }: Pick<ServicePortSpec, 'appProtocol'>): boolean {
  return appProtocol !== 'TCP' && appProtocol !== 'TLS';
}

function mayBeStream({ appProtocol }: ServicePortSpec): boolean {
  return appProtocol === 'UNKNOWN' || !mayBeHttp({ appProtocol });
}
