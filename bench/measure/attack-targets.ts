/** What is attacked, and how its clients reach it. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type ByteConn, SocketConn, TlsConn } from '@ambit/proxy';

export interface HttpTarget {
  readonly kind: 'http';
  readonly host: string;
  readonly port: number;
  /** Addresses of who asks and of who attacks: what an engine remembers of one is not the other's. */
  readonly client: string;
  readonly attacker: string;
}

/** Port 15008 of a captured pod. */
export interface TunnelTarget extends Omit<HttpTarget, 'kind'> {
  readonly kind: 'tunnel';
  readonly authority: string;
  readonly tls: { readonly key: string; readonly cert: string; readonly ca: string };
}

export type AttackTarget = HttpTarget | TunnelTarget;

/** Connected, without TLS. */
export async function dialRaw({ host, port }: AttackTarget, localAddress: string): Promise<Socket> {
  const socket = connect({ host, port, localAddress });
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  return socket;
}

/** Where HTTP/2 may begin. */
export async function dialConn(target: AttackTarget, localAddress: string): Promise<ByteConn> {
  if (target.kind === 'http') {
    return new SocketConn(await dialRaw(target, localAddress), { side: 'upstream' });
  }
  const { host, port, tls } = target;
  const socket = connectTls({
    ...{ host, port, localAddress, ...tls },
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
  });
  await once(socket, 'secureConnect');
  return new TlsConn(socket, { side: 'upstream' });
}
