/** A TCP relay to the API server that can be cut or go silent, as networks do. Tests only. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, isIP, type Server, type Socket } from 'node:net';
import type { KubeCredentials } from './credentials.ts';

export class Relay implements AsyncDisposable {
  readonly #target: URL;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #isCut = false;

  constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((socket) => this.#accept(socket));
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  /** The same identity through the relay; the server's certificate is still checked against its own name. */
  credentialsLike(own: KubeCredentials): KubeCredentials {
    const { hostname } = this.#target;
    const name = isIP(hostname) === 0 ? { servername: hostname } : {};
    const kept = new WeakMap<object, object>();
    return {
      server: `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`,
      namespace: own.namespace,
      apply: async () => {
        const applied = await own.apply();
        const tls = kept.get(applied.tls) ?? { ...applied.tls, ...name };
        kept.set(applied.tls, tls);
        return { ...applied, tls };
      },
      invalidate: () => own.invalidate(),
    };
  }

  /** Resets every connection and every new one. */
  cut(): void {
    this.#isCut = true;
    for (const [a, b] of this.#pairs) {
      a.resetAndDestroy();
      b.destroy();
    }
  }

  heal(): void {
    this.#isCut = false;
  }

  /** Nothing more comes through the connections of now, and nobody is told. */
  silence(): void {
    for (const [a, b] of this.#pairs) {
      a.unpipe(b);
      b.unpipe(a);
      a.resume();
      b.resume();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(socket: Socket): void {
    if (this.#isCut) {
      socket.resetAndDestroy();
      return;
    }
    const onward = connect(Number(this.#target.port || 443), this.#target.hostname);
    const pair = [socket, onward] as const;
    this.#pairs.add(pair);
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
      one.pipe(other);
    }
  }
}
