/**
 * What a waypoint refuses of a request before any policy, and after a rule has rewritten it. Asked for by the functions that it asks
 * itself, in its order.
 */
import { isServedMethod } from '@ambit/api';
import { parseAuthority, pathToSend, type RouteDecision } from '@ambit/routing';
import type { AskedRequest } from './caller.ts';
import type { Ending } from './hop-parts.ts';
import { originOf } from './route-steps.ts';

export type Refusal = Omit<Ending, 'outcome'>;
type Routed = Extract<RouteDecision, { kind: 'route' }>;

/** Undefined: it has one meaning. */
export function unclearRequest({ method, path, authority }: AskedRequest): Refusal | undefined {
  if (method === 'CONNECT') {
    return { text: 'method "CONNECT" is not served', status: 405, phase: 'normalise' };
  }
  if (!isServedMethod(method)) {
    const text = `"${method.slice(0, 40)}" is no method: a token in capitals, up to 32 characters (by HTTP/2: 405)`;
    return { text, status: 400, phase: 'decode' };
  }
  if (parseAuthority(authority) === undefined) {
    const text = `Host is refused: "${authority.slice(0, 80)}" is no name and no address; write the header host`;
    return { text, status: 400, phase: 'normalise' };
  }
  return path === '*' && method !== 'OPTIONS'
    ? { text: 'the path * is for OPTIONS alone', status: 400, phase: 'decode' }
    : undefined;
}

/** Undefined: it is no preflight that the rule wants answered. */
export function refusedPreflight(
  decision: Routed,
  { method, fields }: AskedRequest,
): Refusal | undefined {
  const isPreflight =
    method === 'OPTIONS' && fields.has('origin') && fields.has('access-control-request-method');
  if (decision.action.cors === undefined || !isPreflight) return undefined;
  const text = 'corsPolicy is not supported: preflights that it wants answered are refused';
  return { text, status: 501, phase: 'cors', objects: originOf(decision) };
}

/** Undefined: what the rule makes of the path can be sent. */
export function unclearRewrite(decision: Routed, { path }: AskedRequest): Refusal | undefined {
  const change = decision.action.path;
  const sent = change === undefined ? undefined : pathToSend(path, change);
  if (sent === undefined || sent.isClear) return undefined;
  const text = `the rewritten path ${JSON.stringify(sent.path.slice(0, 80))} is not clear`;
  return { text, status: 400, flag: 'DPE', phase: 'forward', objects: originOf(decision) };
}
