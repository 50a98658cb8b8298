/**
 * Questions that the mesh does not answer, carried byte for byte to the node's name servers from inside the pod's
 * namespace, so that network policy and the server's logs see the pod.
 *
 * Each question has a socket of its own: a fresh source port is what makes forged answers hard (RFC 5452).
 */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Clock } from '@ambit/core';
import { adoptUdp, bindUdp, dialFrom, type Netns, tcpSocket } from '@ambit/netns';
import { PACKET_MARK } from '../capture/constants.ts';
import { AgentError } from '../errors.ts';
import type { Transport } from './dns-message.ts';
import type { NameServer } from './resolv-conf.ts';
import { TcpMessages } from './tcp-messages.ts';

/** For one server; the next one is asked after that. */
const UDP_TIMEOUT_MS = 2_000;
const TCP_TIMEOUT_MS = 5_000;

export interface DnsUpstreamOptions {
  readonly clock: Clock;
  /** Read at each question, so that a changed resolv.conf takes effect. */
  readonly servers: () => readonly NameServer[];
}

export class DnsUpstream {
  readonly #options: DnsUpstreamOptions;

  constructor(options: DnsUpstreamOptions) {
    this.#options = options;
  }

  /** The first server's answer, as it came. Rejects when none answers in time. */
  async ask(
    ns: Netns,
    query: Uint8Array,
    transport: Transport,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const failures: string[] = [];
    for (const server of this.#options.servers()) {
      try {
        return await this.#askOne(ns, { query, transport, server }, signal);
      } catch (error) {
        signal.throwIfAborted();
        failures.push(
          `${server.address}: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }
    throw new AgentError(
      'AGENT_CAPTURE_FAILED',
      failures.length === 0 ? 'no name server is configured' : failures.join('; '),
      { side: 'upstream' },
    );
  }

  async #askOne(
    ns: Netns,
    question: { query: Uint8Array; transport: Transport; server: NameServer },
    outer: AbortSignal,
  ): Promise<Uint8Array> {
    const done = new AbortController();
    const timeout = new AbortController();
    const signal = AbortSignal.any([outer, timeout.signal]);
    const limitMs = question.transport === 'udp' ? UDP_TIMEOUT_MS : TCP_TIMEOUT_MS;
    this.#options.clock.sleep(limitMs, done.signal).then(
      () => timeout.abort(new Error(`no answer within ${limitMs} ms`)),
      // Ended by `done`.
      () => undefined,
    );
    try {
      return question.transport === 'udp'
        ? await askOverUdp(ns, question.query, question.server, signal)
        : await askOverTcp(ns, question.query, question.server, signal);
    } finally {
      done.abort();
    }
  }
}

async function askOverUdp(
  ns: Netns,
  query: Uint8Array,
  server: NameServer,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const any = server.address.includes(':') ? '::' : '0.0.0.0';
  const socket = await adoptUdp(
    bindUdp(ns, { address: any, port: 0, mark: PACKET_MARK, reusePort: false }),
  );
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const onAbort = (): void => reject(signal.reason);
  try {
    signal.throwIfAborted();
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', reject);
    socket.on('message', (bytes) => {
      if (answers(query, bytes)) {
        resolve(bytes);
      }
    });
    // Connected: the kernel drops what others send, and reports refusals.
    // Its types leave out that the callback gets the error, which is then not emitted.
    const onConnect = (error?: Error): void => {
      if (error === undefined) {
        socket.send(query);
      } else {
        reject(error);
      }
    };
    socket.connect(server.port, server.address, onConnect);
    return await promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
    socket.close();
  }
}

async function askOverTcp(
  ns: Netns,
  query: Uint8Array,
  server: NameServer,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const family = server.address.includes(':') ? 6 : 4;
  const fd = tcpSocket(ns, { family, mark: PACKET_MARK });
  const socket: Socket = dialFrom(fd, { ...server, signal });
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  try {
    await once(socket, 'connect', { signal });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the server closed without an answer')));
    const messages = new TcpMessages((bytes) => {
      if (answers(query, bytes)) {
        resolve(bytes);
      }
    });
    socket.on('data', (chunk: Buffer) => messages.push(chunk));
    socket.write(TcpMessages.frame(query));
    return await promise;
  } finally {
    socket.on('error', () => undefined);
    socket.destroy();
  }
}

/** Same id, and a response. */
function answers(query: Uint8Array, bytes: Uint8Array): boolean {
  return (
    bytes.length >= 12 &&
    bytes[0] === query[0] &&
    bytes[1] === query[1] &&
    ((bytes[2] ?? 0) & 0x80) !== 0
  );
}
