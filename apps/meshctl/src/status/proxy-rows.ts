/** Agents and waypoints as rows: are they connected, and what have they not acknowledged? */
import type { AdminProxy } from '@ambit/model';
import { formatSpan } from '../output.ts';

/** A push is under way for a moment after every change; longer than this is a finding. */
const LAGGARD_MS = 5_000;

export const PROXY_COLUMNS = ['PROXY', 'KIND', 'STATE', 'FOR', 'BEHIND', 'PODS'];

export function proxyRow(proxy: AdminProxy, nowMs: number): readonly string[] {
  const since = proxy.connectedSinceMs ?? proxy.disconnectedSinceMs;
  return [
    proxy.name,
    proxy.kind,
    proxy.connectedSinceMs === undefined ? 'unreachable' : 'connected',
    since === undefined ? '-' : formatSpan(nowMs - since),
    behindOf(proxy, nowMs) ?? '-',
    proxy.kind === 'node-agent' ? String(proxy.captured.length) : '-',
  ];
}

/** How long ago it last took configuration; what it has may be older than the last change, never newer. */
export function configAge({ subscriptions }: AdminProxy, nowMs: number): string {
  const times = subscriptions.flatMap(({ acknowledgedAtMs }) => acknowledgedAtMs ?? []);
  return times.length === 0 ? '-' : formatSpan(nowMs - Math.max(...times));
}

/** What is not acknowledged: type and how long. */
function behindOf({ subscriptions }: AdminProxy, nowMs: number): string | undefined {
  const behind = subscriptions.filter(({ pending, error }) => pending > 0 || error !== undefined);
  if (behind.length === 0) return undefined;
  return behind
    .map(({ type, pendingSinceMs, error }) =>
      error === undefined
        ? `${type} ${formatSpan(nowMs - (pendingSinceMs ?? nowMs))}`
        : `${type} refused`,
    )
    .join(', ');
}

export function proxyProblems(proxy: AdminProxy, nowMs: number): readonly string[] {
  const name = `${proxy.kind} ${proxy.name}`;
  if (proxy.connectedSinceMs === undefined) {
    const since = proxy.disconnectedSinceMs;
    const ago = since === undefined ? '' : ` for ${formatSpan(nowMs - since)}`;
    return [`${name} is not connected${ago}`];
  }
  return proxy.subscriptions.flatMap(({ type, error, pending, pendingSinceMs }) => {
    if (error !== undefined) return [`${name} refuses ${type}: ${error}`];
    const age = nowMs - (pendingSinceMs ?? nowMs);
    return pending > 0 && age >= LAGGARD_MS
      ? [`${name} has not acknowledged ${type} for ${formatSpan(age)}`]
      : [];
  });
}

export function byName(a: AdminProxy, b: AdminProxy): number {
  const left = `${a.kind} ${a.name} ${a.id}`;
  const right = `${b.kind} ${b.name} ${b.id}`;
  return left < right ? -1 : left > right ? 1 : 0;
}
