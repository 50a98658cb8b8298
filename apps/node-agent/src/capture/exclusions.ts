/**
 * What a pod's annotations leave out of its capture: ports and addresses, as sidecars know them. Pure.
 *
 * Rule: an annotation is taken as a whole or not at all; one that makes no sense leaves nothing out.
 */
import { formatCidr, parseCidr } from '@ambit/api';

export interface CaptureExclusions {
  /** Reached in clear, whatever policy says; tunnels still come through the agent. */
  readonly inboundPorts: readonly number[];
  readonly outboundPorts: readonly number[];
  /** CIDRs in their canonical form. */
  readonly outboundRanges: readonly string[];
}

const PREFIX = 'traffic.sidecar.istio.io';
/** More are nobody's intention, and each is a rule for every connection. */
const ENTRIES_MAX = 64;

/** Undefined when nothing is left out. */
export function exclusionsOf(
  annotations: Readonly<Record<string, string>>,
): CaptureExclusions | undefined {
  const list = <T>(name: string, parse: (text: string) => T | undefined): readonly T[] =>
    parseList(annotations[`${PREFIX}/${name}`] ?? '', parse);
  const exclusions: CaptureExclusions = {
    inboundPorts: list('excludeInboundPorts', parsePort),
    outboundPorts: list('excludeOutboundPorts', parsePort),
    outboundRanges: list('excludeOutboundIPRanges', parseRange),
  };
  return Object.values(exclusions).some((entries) => entries.length > 0) ? exclusions : undefined;
}

function parseList<T>(text: string, parse: (entry: string) => T | undefined): readonly T[] {
  const entries = text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
  const parsed = entries.flatMap((entry) => parse(entry) ?? []);
  const isSound = parsed.length === entries.length && entries.length <= ENTRIES_MAX;
  return isSound ? [...new Set(parsed as readonly T[])] : [];
}

function parsePort(text: string): number | undefined {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  return port > 0 && port < 65_536 ? port : undefined;
}

function parseRange(text: string): string | undefined {
  const cidr = parseCidr(text);
  return cidr === undefined ? undefined : formatCidr(cidr);
}

/** Lines that let excluded first packets of arriving connections pass. */
export function inboundExclusionRules(
  exclusions: CaptureExclusions | undefined,
): readonly string[] {
  return portRules(exclusions?.inboundPorts);
}

/** The same for connections that leave. One line a range: those of a set must not overlap. */
export function outboundExclusionRules(
  exclusions: CaptureExclusions | undefined,
): readonly string[] {
  const ranges = (exclusions?.outboundRanges ?? []).map(
    (range) => `${range.includes(':') ? 'ip6' : 'ip'} daddr ${range} meta l4proto tcp accept`,
  );
  return [...ranges, ...portRules(exclusions?.outboundPorts)];
}

function portRules(ports: readonly number[] | undefined): readonly string[] {
  return ports === undefined || ports.length === 0
    ? []
    : [`tcp dport { ${ports.join(', ')} } accept`];
}
