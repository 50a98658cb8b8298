/**
 * What a port speaks, as far as it was declared: `appProtocol`, else the prefix of
 * the port's name. Undeclared is `UNKNOWN`, and whoever needs to know has to look at the bytes.
 */
import type { AppProtocol } from '../types.ts';

const BY_NAME: Readonly<Record<string, AppProtocol>> = {
  http: 'HTTP11',
  http1: 'HTTP11',
  'kubernetes.io/ws': 'HTTP11',
  http2: 'HTTP2',
  h2c: 'HTTP2',
  'kubernetes.io/h2c': 'HTTP2',
  grpc: 'GRPC',
  'grpc-web': 'GRPC',
  tcp: 'TCP',
  mongo: 'TCP',
  mysql: 'TCP',
  redis: 'TCP',
  tls: 'TLS',
  https: 'TLS',
  'kubernetes.io/wss': 'TLS',
};

/** Ports of protocols in which the server speaks first: SMTP, DNS, MySQL, MongoDB. */
const WELL_KNOWN_TCP: ReadonlySet<number> = new Set([25, 53, 3306, 27017]);

export interface DeclaredPort {
  readonly name: string;
  readonly port: number;
  readonly appProtocol?: string;
  readonly protocol: string;
}

/** Of a Kubernetes Service's port. */
export function servicePortProtocol(port: DeclaredPort): AppProtocol {
  if (port.protocol !== 'TCP') return 'UNKNOWN';
  if (port.appProtocol !== undefined) return BY_NAME[port.appProtocol.toLowerCase()] ?? 'UNKNOWN';
  const name = port.name.toLowerCase();
  if (name === 'grpc-web' || name.startsWith('grpc-web-')) return 'GRPC';
  const named = BY_NAME[name.split('-', 1)[0] ?? ''];
  return named ?? (WELL_KNOWN_TCP.has(port.port) ? 'TCP' : 'UNKNOWN');
}

/** Of a ServiceEntry's port, whose `protocol` is the declaration. */
export function entryPortProtocol(protocol: string): AppProtocol {
  return BY_NAME[protocol.toLowerCase()] ?? 'UNKNOWN';
}
