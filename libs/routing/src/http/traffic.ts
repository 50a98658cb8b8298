/** The draws and small rules of a routed request: which share, which fault, which mirrors, how long. */
import { GRPC_STATUS_NAMES, type HttpFault } from '@ambit/api';
import type { ClusterRef, HttpMirrorTarget, RouteAction, WeightedCluster } from './route-table.ts';

/** One of the route's shares; `random` in [0,1). One entry gets everything, whatever its weight. */
export function pickCluster(route: RouteAction, random: () => number): WeightedCluster {
  return pickWeighted(route.clusters, random);
}

/** Entries must not be empty. Weights of 0 are never chosen, unless all are. */
export function pickWeighted<T extends { readonly weight: number }>(
  entries: readonly T[],
  random: () => number,
): T {
  let total = 0;
  for (const entry of entries) total += entry.weight;
  let left = random() * total;
  for (const entry of entries) {
    left -= entry.weight;
    if (left < 0) return entry;
  }
  const last = entries.findLast((entry) => entry.weight > 0) ?? entries[0];
  if (last === undefined) throw new RangeError('pickWeighted: no entries');
  return last;
}

export interface DrawnFault {
  readonly delayMs?: number;
  readonly abort?:
    | { readonly kind: 'http'; readonly status: number }
    | { readonly kind: 'grpc'; readonly status: number };
}

/** Delay first, then abort; two draws, always both, so that one never shifts the other. */
export function drawFault(fault: HttpFault | undefined, random: () => number): DrawnFault {
  if (fault === undefined) return {};
  const isDelayed = isDrawn(fault.delay?.percentage ?? 0, random);
  const isAborted = isDrawn(fault.abort?.percentage ?? 0, random);
  const { delay, abort } = fault;
  return {
    ...(isDelayed && delay !== undefined ? { delayMs: delay.fixedDelayMs } : {}),
    ...(isAborted && abort !== undefined ? { abort: abortOf(abort) } : {}),
  };
}

export function drawMirrors(
  mirrors: readonly HttpMirrorTarget[],
  random: () => number,
): readonly ClusterRef[] {
  return mirrors
    .filter(({ percentage }) => isDrawn(percentage, random))
    .map(({ cluster }) => cluster);
}

/** A mirrored request's Host: `-shadow` before the port. An address in brackets stays as it is: with more it would be no host. */
export function shadowAuthority(authority: string): string {
  if (authority.startsWith('[')) {
    return authority;
  }
  const port = /:\d+$/.exec(authority);
  if (port === null) {
    return `${authority}-shadow`;
  }
  return `${authority.slice(0, port.index)}-shadow${port[0]}`;
}

const GRPC_TIMEOUT_UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['H', 3_600_000],
  ['M', 60_000],
  ['S', 1_000],
  ['m', 1],
  ['u', 0.001],
  ['n', 0.000_001],
]);

/** The route's timeout, shortened by a `grpc-timeout` header. 0 and absent: none. */
export function requestTimeoutMs(
  routeTimeoutMs: number | undefined,
  grpcTimeout: string | undefined,
): number | undefined {
  const route = routeTimeoutMs === 0 ? undefined : routeTimeoutMs;
  if (grpcTimeout === undefined) return route;
  const parsed = /^(\d{1,8})([HMSmun])$/.exec(grpcTimeout);
  const unit = GRPC_TIMEOUT_UNIT_MS.get(parsed?.[2] ?? '');
  if (parsed === null || unit === undefined) return route;
  const asked = Math.max(1, Math.ceil(Number(parsed[1]) * unit));
  return route === undefined ? asked : Math.min(asked, route);
}

/** Precision one millionth, as the reference's engines have it. */
function isDrawn(percentage: number, random: () => number): boolean {
  return Math.floor(random() * 1_000_000) < Math.round(percentage * 10_000);
}

function abortOf(abort: NonNullable<HttpFault['abort']>): NonNullable<DrawnFault['abort']> {
  if (abort.httpStatus !== undefined) return { kind: 'http', status: abort.httpStatus };
  const status = GRPC_STATUS_NAMES.indexOf(abort.grpcStatus ?? '');
  return { kind: 'grpc', status: status < 0 ? 2 : status };
}
