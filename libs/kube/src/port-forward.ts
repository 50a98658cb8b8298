/**
 * A connection to a port of a pod, through the API server (WebSocket, `v4.channel.k8s.io`).
 *
 * Each message begins with its channel: 0 is data, 1 the error. The first message of each channel is
 * the port. The protocol cannot close one direction alone: the end of either side ends both.
 */
import { Duplex } from 'node:stream';
import { KubeError } from './errors.ts';
import type { KubeHttp } from './http.ts';
import { pathOf } from './resources.ts';

const DATA = 0;
const ERROR = 1;
const ERROR_CHARS_MAX = 400;

export interface PortForwardTarget {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

/** What is used of a WebSocket of `ws`. */
interface Socket {
  pause(): void;
  resume(): void;
  send(data: Buffer, done: (error?: Error) => void): void;
  /** Replaced when connected: client-node's own throws for an empty message, where nobody can catch it. */
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  close(): void;
  terminate(): void;
  on(event: 'close', listener: () => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
}

/**
 * Resolves when the API server has agreed; that nobody listens on the port shows as an error of the
 * stream. Throws KubeError.
 */
export async function portForward(
  http: KubeHttp,
  { namespace, pod, port }: PortForwardTarget,
): Promise<Duplex> {
  const path = pathOf(
    { group: '', version: 'v1', resource: 'pods' },
    { namespace, name: pod, subresource: 'portforward' },
  );
  const what = `port ${port} of pod ${namespace}/${pod}`;
  const { headers, tls, agent } = await http.credentials.apply();
  const { WebSocketHandler } = await import('@kubernetes/client-node/dist/web-socket-handler.js');
  const config = {
    getCurrentCluster: () => ({ server: http.credentials.server }),
    applyToHTTPSOptions: (options: object) => {
      Object.assign(options, tls, { headers }, agent === undefined ? {} : { agent });
      return Promise.resolve();
    },
  };
  const handler = new WebSocketHandler(config as never);
  const channels = new Channels(what);
  try {
    const receive = (channel: number, data: Buffer): boolean => channels.receive(channel, data);
    const socket = await handler.connect(`${path}?ports=${port}`, null, receive);
    return channels.connect(socket as unknown as Socket);
  } catch (error) {
    const reason = (error as { message?: string }).message ?? String(error);
    const message = `${what}: the API server refused: ${reason.slice(0, ERROR_CHARS_MAX)}`;
    throw new KubeError('KUBE_CONNECTION_FAILED', message, { cause: error, retryable: true });
  }
}

/** The stream made of the messages. */
class Channels {
  readonly #what: string;
  readonly #stream: Duplex;
  readonly #hasPort = new Set<number>();
  #socket: Socket | undefined;

  constructor(what: string) {
    this.#what = what;
    this.#stream = new Duplex({
      allowHalfOpen: false,
      read: () => this.#socket?.resume(),
      write: (chunk: Buffer, _encoding, done) => this.#write(chunk, done),
      final: (done) => {
        this.#socket?.close();
        done();
      },
      destroy: (error, done) => {
        this.#socket?.terminate();
        done(error);
      },
    });
  }

  connect(socket: Socket): Duplex {
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      if (data instanceof Buffer && data.length > 0) {
        this.receive(data[0] ?? 0, data.subarray(1));
      }
    };
    socket.on('close', () => void this.#stream.push(null));
    socket.on('error', (error) => {
      const options = { cause: error, retryable: false };
      this.#fail(
        new KubeError('KUBE_CONNECTION_FAILED', `${this.#what}: ${error.message}`, options),
      );
    });
    return this.#stream;
  }

  /** Answers whether the connection goes on. Messages may come before `connect`, in the packet of the handshake. */
  receive(channel: number, data: Buffer): boolean {
    if (!this.#hasPort.has(channel)) {
      this.#hasPort.add(channel);
    } else if (channel === ERROR) {
      const text = data.toString('utf8', 0, ERROR_CHARS_MAX);
      this.#fail(new KubeError('KUBE_CONNECTION_FAILED', `${this.#what}: ${text}`));
    } else if (channel === DATA && !this.#stream.destroyed && !this.#stream.push(data)) {
      this.#socket?.pause();
    }
    return !this.#stream.destroyed;
  }

  #fail(error: KubeError): void {
    this.#stream.destroy(error);
  }

  #write(chunk: Buffer, done: (error?: Error | null) => void): void {
    const socket = this.#socket;
    if (socket === undefined) {
      done(new KubeError('KUBE_CONNECTION_FAILED', `${this.#what}: not connected`));
      return;
    }
    socket.send(Buffer.concat([Buffer.from([DATA]), chunk]), (error) => done(error ?? null));
  }
}
