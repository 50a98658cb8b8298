/** The name servers of a resolv.conf(5). Search domains are the clients' business. */
import { isIP } from 'node:net';

/** As glibc: MAXNS. */
const SERVERS_MAX = 3;
const DNS_PORT = 53;

export interface NameServer {
  readonly address: string;
  readonly port: number;
}

/** Lines that are no name server are skipped, as every resolver does. Scoped addresses cannot be used from a pod. */
export function parseResolvConf(text: string): readonly NameServer[] {
  return text
    .split('\n')
    .map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? '')
    .filter((address) => isIP(address) !== 0 && !address.includes('%'))
    .slice(0, SERVERS_MAX)
    .map((address) => ({ address, port: DNS_PORT }));
}
