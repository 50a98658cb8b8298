/**
 * PeerAuthentication: which mode holds for a workload's ports, and the DENY policies that enforce it.
 *
 * STRICT is nothing but "refuse a caller without identity" (`notPrincipals: [presence]`). Names and shapes are
 * those of the reference, so that a foreign agent enforces the same.
 */
import type { MtlsMode, PeerAuthentication } from '@ambit/api';
import { EMPTY_L4 } from './match-shapes.ts';
import type { Clause, CompiledPolicy, L4Match, Rule } from './types.ts';

export const STATIC_STRICT_NAME = 'istio_converted_static_strict';
export const CONVERTED_PREFIX = 'converted_peer_authentication_';

export type EffectiveMode = 'STRICT' | 'PERMISSIVE';

export interface PeerAuthenticationTarget {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface EffectivePeerAuthentication {
  /** For ports that are not in `ports`. */
  readonly mode: EffectiveMode;
  /** Ports whose mode differs. */
  readonly ports: Readonly<Record<number, EffectiveMode>>;
  /** The objects that decided, most specific first; empty: the default. */
  readonly because: readonly PeerAuthentication[];
  /** The policies the workload has to name. At most one. */
  readonly authorizations: readonly CompiledPolicy[];
}

const NO_IDENTITY: Partial<L4Match> = { notPrincipals: [{ kind: 'presence' }] };

/**
 * Workload over namespace over mesh; the oldest of a level wins; UNSET inherits; DISABLE reads as
 * PERMISSIVE, because encryption is always on offer. A selector in the root namespace has no effect.
 */
export function compilePeerAuthentication(
  policies: readonly PeerAuthentication[],
  target: PeerAuthenticationTarget,
  options: { readonly rootNamespace: string },
): EffectivePeerAuthentication {
  const { rootNamespace } = options;
  const ordered = [...policies].sort(olderFirst);
  const general = (namespace: string): PeerAuthentication | undefined =>
    ordered.find((pa) => pa.metadata.namespace === namespace && !hasSelector(pa));
  const workload =
    target.namespace === rootNamespace
      ? undefined
      : ordered.find((pa) => pa.metadata.namespace === target.namespace && selects(pa, target));
  const chain = [workload, general(target.namespace), general(rootNamespace)].filter(
    (pa, index, all): pa is PeerAuthentication => pa !== undefined && all.indexOf(pa) === index,
  );
  const mode = resolveMode(chain.map((pa) => pa.spec.mtls.mode));
  const ports = workload === undefined ? {} : portExceptions(workload, mode);
  const converted = workload && convertPeerAuthentication(workload, mode);
  const authorizations = converted
    ? [converted]
    : mode === 'STRICT'
      ? [staticStrictPolicy(rootNamespace)]
      : [];
  return { mode, ports, because: chain, authorizations };
}

/** The policy of every workload whose ports are all STRICT. */
export function staticStrictPolicy(rootNamespace: string): CompiledPolicy {
  return denyPolicy(STATIC_STRICT_NAME, rootNamespace, [{ clauses: [clauseOf(NO_IDENTITY)] }]);
}

/**
 * The policy of a selector PeerAuthentication with port exceptions; undefined when no port differs from
 * `mode`, what its own mode inherits to.
 */
export function convertPeerAuthentication(
  policy: PeerAuthentication,
  mode: EffectiveMode,
): CompiledPolicy | undefined {
  const ports = Object.keys(portExceptions(policy, mode)).map(Number);
  if (ports.length === 0) {
    return undefined;
  }
  const name = `${CONVERTED_PREFIX}${policy.metadata.name}`;
  const rules: readonly Rule[] =
    mode === 'STRICT'
      ? [
          {
            // The reference repeats the first clause at the end; it costs nothing and is the same policy there.
            clauses: [
              clauseOf(NO_IDENTITY),
              ...ports.map((port) => clauseOf({ notDestinationPorts: [port] })),
              clauseOf(NO_IDENTITY),
            ],
          },
        ]
      : ports.map((port) => ({
          clauses: [clauseOf({ ...NO_IDENTITY, destinationPorts: [port] })],
        }));
  return denyPolicy(name, policy.metadata.namespace, rules);
}

function denyPolicy(name: string, namespace: string, rules: readonly Rule[]): CompiledPolicy {
  return { name, namespace, scope: 'WORKLOAD_SELECTOR', action: 'DENY', dryRun: false, rules };
}

function clauseOf(l4: Partial<L4Match>): Clause {
  return { matches: [{ l4: { ...EMPTY_L4, ...l4 } }], origin: '' };
}

/** Most specific first; UNSET asks the next. */
function resolveMode(modes: readonly MtlsMode[]): EffectiveMode {
  return modes.find((mode) => mode !== 'UNSET') === 'STRICT' ? 'STRICT' : 'PERMISSIVE';
}

/** Ports whose own mode differs from the workload's. Object keys are in numeric order. */
function portExceptions(
  policy: PeerAuthentication,
  mode: EffectiveMode,
): Readonly<Record<number, EffectiveMode>> {
  const exceptions: Record<number, EffectiveMode> = {};
  for (const [port, mtls] of Object.entries(policy.spec.portLevelMtls)) {
    const own = mtls.mode === 'UNSET' ? mode : resolveMode([mtls.mode]);
    if (own !== mode) {
      exceptions[Number(port)] = own;
    }
  }
  return exceptions;
}

function selects(policy: PeerAuthentication, target: PeerAuthenticationTarget): boolean {
  return (
    hasSelector(policy) &&
    Object.entries(policy.spec.selector?.matchLabels ?? {}).every(
      ([key, value]) => target.labels[key] === value,
    )
  );
}

/** A selector without labels means the whole namespace. */
function hasSelector(policy: PeerAuthentication): boolean {
  return Object.keys(policy.spec.selector?.matchLabels ?? {}).length > 0;
}

function olderFirst(a: PeerAuthentication, b: PeerAuthentication): number {
  const byAge = a.metadata.creationTimestampMs - b.metadata.creationTimestampMs;
  return byAge !== 0 ? byAge : a.metadata.name < b.metadata.name ? -1 : 1;
}
