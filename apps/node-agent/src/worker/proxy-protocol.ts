/**
 * The header of PROXY protocol version 2 (haproxy.org, §2.2), written before the bytes of a tunnel to a proxy in the same pod that
 * does not end tunnels itself (`ApplicationTunnel` of its record: a waypoint behind its agent).
 *
 * It tells whom the tunnel is of: address and port of its client, where it wanted to go, and in a TLV of the reference's the SPIFFE id of
 * the client's certificate. It is only written here, never read: who talks to a captured pod is known by certificate.
 */
import { parseIp } from '@ambit/api';
import { WorkerError } from './errors.ts';

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const VERSION_2_PROXY = 0x21;
const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;
/** The reference's, in the range for applications. */
const TLV_SOURCE_IDENTITY = 0xd0;

export interface ProxiedConnection {
  readonly source: { readonly ip: string; readonly port: number };
  readonly destination: { readonly ip: string; readonly port: number };
  /** `spiffe://…` */
  readonly sourceIdentity: string;
}

/** Throws WORKER_BAD_REQUEST for what is no address. */
export function proxyHeader({ source, destination, sourceIdentity }: ProxiedConnection): Buffer {
  const [from, to] = [bytesOf(source.ip), bytesOf(destination.ip)];
  const isIpv4 = from.length === 4 && to.length === 4;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  const identity = Buffer.from(sourceIdentity, 'latin1');
  const tlv = Buffer.alloc(3);
  tlv[0] = TLV_SOURCE_IDENTITY;
  tlv.writeUInt16BE(identity.length, 1);
  const addresses = isIpv4 ? [from, to] : [mapped(from), mapped(to)];
  const body = Buffer.concat([...addresses, ports, tlv, identity]);
  const head = Buffer.alloc(4);
  head[0] = VERSION_2_PROXY;
  head[1] = isIpv4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6;
  head.writeUInt16BE(body.length, 2);
  return Buffer.concat([SIGNATURE, head, body]);
}

function bytesOf(ip: string): Uint8Array {
  const bytes = parseIp(ip);
  if (bytes === undefined) {
    throw new WorkerError('WORKER_BAD_REQUEST', `"${ip.slice(0, 80)}" is no IP address`);
  }
  return bytes;
}

/** One family for both: an IPv4 address beside an IPv6 one is written as IPv6 (RFC 4291 §2.5.5.2). */
function mapped(ip: Uint8Array): Uint8Array {
  return ip.length === 16 ? ip : Buffer.concat([Buffer.alloc(10), Buffer.of(0xff, 0xff), ip]);
}
