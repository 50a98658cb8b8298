/**
 * The nft rules of a captured pod, as text. Pure; semantics as the reference's nftables variant.
 *
 * Rule: only the first packet of a connection (SYN) is ever redirected. A connection that is older than the
 * rules has no conntrack entry, so its next packet makes one and passes the nat chains like a new one;
 * redirecting that would cut it. Once decided, conntrack keeps each connection as it is.
 *
 * So whoever gets a packet that is no SYN into conntrack has an undecided entry, and a SYN that follows on it
 * passes the nat chains by. A first packet that should have been redirected and was not is therefore dropped.
 */
import {
  CONNECTION_MARK,
  DNS_PORT,
  HBONE_PORT,
  INBOUND_PORT,
  MARK_MASK,
  OUTBOUND_PORT,
  PACKET_MARK,
  PROBE_SOURCE_V4,
  PROBE_SOURCE_V6,
} from './constants.ts';
import {
  type CaptureExclusions,
  inboundExclusionRules,
  outboundExclusionRules,
} from './exclusions.ts';

export interface CaptureOptions {
  readonly dnsCapture: boolean;
  /** Pod annotation `ambient.istio.io/bypass-inbound-capture`: outbound only. */
  readonly bypassInbound: boolean;
  /** Interfaces whose arriving traffic counts as outbound (virtual machines, containers in the pod). */
  readonly virtualInterfaces: readonly string[];
  /** Annotations `traffic.sidecar.istio.io/exclude…`; absent: nothing is left out. */
  readonly exclusions?: CaptureExclusions;
  readonly probeSources: { readonly v4: string; readonly v6: string };
}

export const DEFAULT_PROBE_SOURCES = { v4: PROBE_SOURCE_V4, v6: PROBE_SOURCE_V6 } as const;

export const CAPTURE_TABLES = ['ambit-mangle', 'ambit-nat', 'ambit-raw'] as const;

const hex = (value: number): string => `0x${value.toString(16)}`;
const IS_OURS = `meta mark & ${hex(MARK_MASK)} == ${hex(PACKET_MARK)}`;
const IS_NOT_OURS = `meta mark & ${hex(MARK_MASK)} != ${hex(PACKET_MARK)}`;
const IS_NEW = 'tcp flags & (fin|syn|rst|ack) == syn';
/** Of a connection that no nat rule has redirected. */
const IS_STRAY = `${IS_NEW} ct status & dnat == 0`;
const DNS_ZONE = 1;
const BORROWED_ZONE = 2;
const KEPT_BITS = hex(0xffffffff - MARK_MASK);

/** Replaces whatever version of our tables is there, in one transaction. Other tables are not touched. */
export function captureRules(options: CaptureOptions): string {
  return [
    removeRules(),
    mangleTable(),
    table('ambit-nat', [
      chain('prerouting', 'type nat hook prerouting priority dstnat', natPrerouting(options)),
      chain('output', 'type nat hook output priority -100', natOutput(options)),
      chain('stray-in', 'type filter hook prerouting priority dstnat + 10', strayIn(options)),
      chain('stray-out', 'type filter hook output priority -90', strayOut(options)),
    ]),
    rawTable(options.dnsCapture),
  ].join('\n');
}

/**
 * Redirects nothing new and keeps what open connections need: marks, the zone of borrowed addresses, and base chains in the
 * nat hooks, without which the kernel would stop translating the connections that were redirected before.
 */
export function releaseRules(): string {
  return [
    removeRules(),
    mangleTable(),
    table('ambit-nat', [
      chain('prerouting', 'type nat hook prerouting priority dstnat', []),
      chain('output', 'type nat hook output priority -100', []),
    ]),
    rawTable(false),
  ].join('\n');
}

/** Nothing of ours remains. Works whether the tables exist or not. */
export function removeRules(): string {
  return CAPTURE_TABLES.flatMap((name) => [
    `table inet ${name} {}`,
    `delete table inet ${name}`,
  ]).join('\n');
}

function mangleTable(): string {
  return table('ambit-mangle', [
    chain('prerouting', 'type filter hook prerouting priority mangle', [
      `${IS_OURS} ct mark set ct mark & ${KEPT_BITS} | ${hex(CONNECTION_MARK)}`,
    ]),
    // `type route` looks the route up again after the mark changed.
    chain('output', 'type route hook output priority mangle', [
      `ct mark & ${hex(MARK_MASK)} == ${hex(CONNECTION_MARK)} meta mark set ct mark`,
    ]),
  ]);
}

function natPrerouting(options: CaptureOptions): readonly string[] {
  const virtual = options.virtualInterfaces.flatMap((name) => [
    `iifname "${name}" ${IS_NEW} redirect to :${OUTBOUND_PORT}`,
    `iifname "${name}" meta l4proto tcp return`,
  ]);
  if (options.bypassInbound) {
    return virtual;
  }
  const redirect = `tcp dport != ${HBONE_PORT} ${IS_NOT_OURS} ${IS_NEW} redirect to :${INBOUND_PORT}`;
  return [
    ...virtual,
    `ip saddr ${options.probeSources.v4} meta l4proto tcp accept`,
    `ip6 saddr ${options.probeSources.v6} meta l4proto tcp accept`,
    ...inboundExclusionRules(options.exclusions),
    `ip daddr != 127.0.0.1 ${redirect}`,
    `ip6 daddr != ::1 ${redirect}`,
  ];
}

/** First packets that arrive and passed `natPrerouting` by. The agent's own ports refuse by themselves. */
function strayIn(options: CaptureOptions): readonly string[] {
  const virtual = options.virtualInterfaces.flatMap((name) => [
    `iifname "${name}" ${IS_STRAY} drop`,
    `iifname "${name}" meta l4proto tcp return`,
  ]);
  if (options.bypassInbound) {
    return virtual;
  }
  return [
    ...virtual,
    `ip saddr ${options.probeSources.v4} meta l4proto tcp accept`,
    `ip6 saddr ${options.probeSources.v6} meta l4proto tcp accept`,
    ...inboundExclusionRules(options.exclusions),
    `iifname != "lo" tcp dport != { ${INBOUND_PORT}, ${HBONE_PORT} } ${IS_NOT_OURS} ${IS_STRAY} drop`,
  ];
}

/** First packets that leave and passed `natOutput` by. */
function strayOut(options: CaptureOptions): readonly string[] {
  return [
    `ip daddr ${options.probeSources.v4} meta l4proto tcp accept`,
    `ip6 daddr ${options.probeSources.v6} meta l4proto tcp accept`,
    ...outboundExclusionRules(options.exclusions),
    `meta l4proto tcp meta mark & ${hex(MARK_MASK)} == ${hex(CONNECTION_MARK)} accept`,
    `oifname != "lo" ${IS_NOT_OURS} ${IS_STRAY} drop`,
  ];
}

function natOutput(options: CaptureOptions): readonly string[] {
  const dns = [
    `oifname != "lo" udp dport 53 ${IS_NOT_OURS} redirect to :${DNS_PORT}`,
    ...['ip daddr != 127.0.0.1', 'ip6 daddr != ::1'].map(
      (address) => `${address} tcp dport 53 ${IS_NOT_OURS} ${IS_NEW} redirect to :${DNS_PORT}`,
    ),
  ];
  return [
    `ip daddr ${options.probeSources.v4} meta l4proto tcp accept`,
    `ip6 daddr ${options.probeSources.v6} meta l4proto tcp accept`,
    ...outboundExclusionRules(options.exclusions),
    ...(options.dnsCapture ? dns : []),
    `meta l4proto tcp meta mark & ${hex(MARK_MASK)} == ${hex(CONNECTION_MARK)} accept`,
    'oifname "lo" ip daddr != 127.0.0.1 accept',
    'oifname "lo" ip6 daddr != ::1 accept',
    `ip daddr != 127.0.0.1 ${IS_NOT_OURS} ${IS_NEW} redirect to :${OUTBOUND_PORT}`,
    `ip6 daddr != ::1 ${IS_NOT_OURS} ${IS_NEW} redirect to :${OUTBOUND_PORT}`,
  ];
}

/**
 * Conntrack entries of the agent's own are looked up in zones of their own.
 *
 * A connection from a borrowed address may have the port of one that the client itself has open. In the same zone its first packet
 * would belong to the client's entry: the mark would then turn away the replies to the client, and both would hang. Only its own
 * direction has the zone, because nothing tells the application's replies apart before they are looked up. The agent's queries for
 * names have theirs in both, so that an answer never meets the pod's entry.
 */
function rawTable(dnsCapture: boolean): string {
  const listeners = [OUTBOUND_PORT, INBOUND_PORT, HBONE_PORT, DNS_PORT].join(', ');
  return table('ambit-raw', [
    ...(dnsCapture
      ? [
          chain('prerouting', 'type filter hook prerouting priority raw', [
            `udp sport 53 ${IS_NOT_OURS} ct zone set ${DNS_ZONE}`,
          ]),
        ]
      : []),
    chain('output', 'type filter hook output priority raw', [
      ...(dnsCapture ? [`udp dport 53 ${IS_OURS} ct zone set ${DNS_ZONE}`] : []),
      `oifname "lo" ${IS_OURS} tcp sport != { ${listeners} } ct original zone set ${BORROWED_ZONE}`,
    ]),
  ]);
}

function table(name: string, chains: readonly string[]): string {
  return `table inet ${name} {\n${chains.join('\n')}\n}`;
}

function chain(name: string, hook: string, rules: readonly string[]): string {
  const lines = [`${hook}; policy accept;`, ...rules].map((line) => `    ${line}`);
  return `  chain ${name} {\n${lines.join('\n')}\n  }`;
}
