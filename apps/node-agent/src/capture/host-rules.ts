/**
 * The nft rules of the node's own network namespace, as text. Pure; semantics as the reference's.
 *
 * A connection that a program of the node itself (kubelet) opens to a captured pod gets a source that the pod's rules let
 * through in clear. Rule: nobody else may use that source, so whatever arrives at the node with it is dropped.
 */
import type { CaptureOptions } from './rules.ts';

export const HOST_TABLE = 'ambit-host';

export interface HostRuleOptions {
  /** Canonical, of either family. */
  readonly addresses: readonly string[];
  readonly probeSources: CaptureOptions['probeSources'];
}

/**
 * Only the first packet of a connection: older ones, which have no conntrack entry, keep their source. `skuid` is
 * that of the packet's socket and matches nothing that is forwarded, because that has no socket here.
 */
const IS_NEW_FROM_HERE = 'meta skuid != 4294967295 tcp flags & (fin|syn|rst|ack) == syn';

/** Replaces whatever version of our table is there, in one transaction. */
export function hostRules({ addresses, probeSources: { v4, v6 } }: HostRuleOptions): string {
  const isV6 = (address: string): boolean => address.includes(':');
  return [
    removeHostRules(),
    `table inet ${HOST_TABLE} {`,
    set(
      'pods-v4',
      'ipv4_addr',
      addresses.filter((address) => !isV6(address)),
    ),
    set('pods-v6', 'ipv6_addr', addresses.filter(isV6)),
    '  chain prerouting {',
    '    type filter hook prerouting priority raw; policy accept;',
    `    iifname != "lo" ip saddr ${v4} counter drop`,
    `    iifname != "lo" ip6 saddr ${v6} counter drop`,
    '  }',
    // Before what others translate there: the first to translate a connection decides.
    '  chain postrouting {',
    '    type nat hook postrouting priority srcnat - 10; policy accept;',
    `    ip daddr @pods-v4 ${IS_NEW_FROM_HERE} snat ip to ${v4}`,
    `    ip6 daddr @pods-v6 ${IS_NEW_FROM_HERE} snat ip6 to ${v6}`,
    '  }',
    '}',
  ].join('\n');
}

/** Nothing of ours remains. Works whether the table exists or not. */
export function removeHostRules(): string {
  return `table inet ${HOST_TABLE} {}\ndelete table inet ${HOST_TABLE}`;
}

/** The addresses in the sets of `nft -j list table inet ambit-host`. Empty for anything else. */
export function addressesIn(listing: string): ReadonlySet<string> {
  let value: unknown;
  try {
    value = JSON.parse(listing);
  } catch {
    return new Set();
  }
  return new Set(
    listOf(value, 'nftables').flatMap((entry) => {
      const found: unknown = isObject(entry) ? entry['set'] : undefined;
      return listOf(found, 'elem').filter((element) => typeof element === 'string');
    }),
  );
}

function set(name: string, type: string, elements: readonly string[]): string {
  const content = elements.length === 0 ? '' : ` elements = { ${elements.join(', ')} }`;
  return `  set ${name} { type ${type};${content} }`;
}

function listOf(value: unknown, key: string): readonly unknown[] {
  const list = isObject(value) ? value[key] : undefined;
  return Array.isArray(list) ? list : [];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
