/**
 * What the plugins before this one made: the addresses of the pod, of all its interfaces.
 *
 * The result is passed on as it came. Only addresses inside of the sandbox are the pod's: a result may also list
 * those of the host's end.
 */
import { isIP } from 'node:net';
import { isRecord } from './cni-protocol.ts';

/** As many as the agent takes. */
const ADDRESSES_MAX = 16;

export interface PodAddresses {
  readonly ips: readonly string[];
  /** Names of the interfaces inside of the sandbox. */
  readonly interfaces: readonly string[];
}

/** Entries that make no sense are left out: they are another plugin's, and the agent decides by what is left. */
export function addressesOf(result: Readonly<Record<string, unknown>>): PodAddresses {
  const interfaces = listOf(result['interfaces']);
  const isInside = (index: unknown): boolean => {
    if (typeof index !== 'number') {
      return true;
    }
    const found = interfaces[index];
    // A result without sandbox names is of a plugin that tells of nothing but the pod.
    return found === undefined || sandboxOf(found) !== '' || !interfaces.some(hasSandbox);
  };
  const ips = new Set<string>();
  for (const entry of listOf(result['ips'])) {
    const address = typeof entry['address'] === 'string' ? entry['address'] : '';
    const ip = address.split('/')[0] ?? '';
    if (isIP(ip) !== 0 && isInside(entry['interface']) && ips.size < ADDRESSES_MAX) {
      ips.add(ip);
    }
  }
  const inside = interfaces.filter((entry) => hasSandbox(entry));
  return {
    ips: [...ips],
    interfaces: inside
      .flatMap(({ name }) => (typeof name === 'string' ? [name] : []))
      .slice(0, ADDRESSES_MAX),
  };
}

function listOf(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.map((entry: unknown) => (isRecord(entry) ? entry : {})) : [];
}

function sandboxOf(entry: Readonly<Record<string, unknown>>): string {
  return typeof entry['sandbox'] === 'string' ? entry['sandbox'] : '';
}

function hasSandbox(entry: Readonly<Record<string, unknown>>): boolean {
  return sandboxOf(entry) !== '';
}
