/** Who calls and what is asked, in the forms that policy and routing take. */
import { HOP_BY_HOP_HEADERS, isProxyHeader, parseIp } from '@ambit/api';
import type { Workload } from '@ambit/model';
import {
  type ConnectionAttributes,
  type JudgedHead,
  judgedHeader,
  normalizePath,
  octetsOf,
  type RequestAttributes,
} from '@ambit/policy';
import { type HttpRequestView, parseAuthority, workloadIdentity } from '@ambit/routing';
import { ExplainError } from './errors.ts';
import type { ExplainQuery } from './types.ts';

export interface Caller {
  readonly ip: string;
  /** Absent: plaintext, without identity. */
  readonly workload?: Workload;
}

/** A request as it was asked for; absent parts are filled in like curl would. */
export interface AskedRequest extends JudgedHead {
  readonly method: string;
  /** Normalised, without query. */
  readonly path: string;
  readonly query: string;
  /** What gets past the first hop, with names in lower case and one character for each byte. */
  readonly fields: ReadonlyMap<string, string>;
}

export function callerIdentity({ workload }: Caller): string | undefined {
  return workload === undefined ? undefined : workloadIdentity(workload);
}

/** Throws `EXPLAIN_BAD_PATH` or `EXPLAIN_BAD_HOST` for what a waypoint would refuse before anything else. */
export function askedRequest(query: ExplainQuery, authority: string): AskedRequest {
  const normalized = normalizePath(query.path ?? '/');
  if (!normalized.ok) {
    throw new ExplainError('EXPLAIN_BAD_PATH', `path is refused with 400: ${normalized.reason}`, {
      side: 'local',
    });
  }
  const headers = Object.fromEntries(
    Object.entries(query.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const { host } = headers;
  if (host !== undefined && parseAuthority(host) === undefined) {
    const message = `Host is refused with 400: "${host.slice(0, 80)}" is no name and no address`;
    throw new ExplainError('EXPLAIN_BAD_HOST', message, { side: 'local' });
  }
  return {
    method: query.method ?? 'GET',
    path: normalized.path,
    query: normalized.query.replace(/^\?/, ''),
    ...pastTheHop(headers),
    authority: host ?? authority,
  };
}

export function hasRequest(query: ExplainQuery): boolean {
  return query.method !== undefined || query.path !== undefined || query.headers !== undefined;
}

export function connectionAttributes(
  caller: Caller,
  to: { readonly ip: string; readonly port: number },
): ConnectionAttributes {
  const { workload } = caller;
  return {
    sourceIp: parseIp(caller.ip) ?? new Uint8Array(4),
    destinationIp: parseIp(to.ip) ?? new Uint8Array(4),
    destinationPort: to.port,
    ...(workload === undefined
      ? {}
      : {
          source: {
            trustDomain: workload.trustDomain,
            namespace: workload.namespace,
            serviceAccount: workload.serviceAccount,
          },
        }),
  };
}

export function requestAttributes(asked: AskedRequest): RequestAttributes {
  return {
    host: asked.authority,
    method: asked.method,
    path: asked.path,
    header: (name) => judgedHeader(name, asked, asked.fields),
  };
}

export function requestView(asked: AskedRequest, caller: Caller, port: number): HttpRequestView {
  const { workload } = caller;
  return {
    method: asked.method,
    scheme: 'http',
    authority: asked.authority,
    path: asked.path,
    query: asked.query,
    header: (name) => judgedHeader(name, asked, asked.fields),
    port,
    source: {
      ip: caller.ip,
      ...(workload === undefined ? {} : { namespace: workload.namespace, labels: workload.labels }),
    },
  };
}

/** As a waypoint takes a request over from its client (RFC 9110 §7.6.1, §7.8). `headers`: names in lower case. */
function pastTheHop(
  headers: Readonly<Record<string, string>>,
): Pick<AskedRequest, 'fields' | 'upgrade'> {
  const options = elementsOf(headers['connection']);
  const fields = new Map<string, string>();
  for (const [name, value] of Object.entries(headers)) {
    const isTaken = isProxyHeader(name) || options.includes(name) || HOP_BY_HOP_HEADERS.has(name);
    if (!isTaken) {
      fields.set(name, octetsOf(value));
    }
  }
  if (elementsOf(headers['te']).includes('trailers')) {
    fields.set('te', 'trailers');
  }
  const { upgrade } = headers;
  return { fields, upgrade: options.includes('upgrade') ? upgrade?.toLowerCase() : undefined };
}

function elementsOf(list: string | undefined): readonly string[] {
  return (list ?? '').split(',').map((element) => element.trim().toLowerCase());
}
