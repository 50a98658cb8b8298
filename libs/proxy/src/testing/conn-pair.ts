/**
 * Two ends of a connection in memory, with real half-close, backpressure and reset.
 *
 * Rule: nothing is delivered inside the call that caused it; each delivery is a microtask of its own,
 * in order, so a test sees the order a socket would give.
 */
import type { MeshError } from '@ambit/core';

import type { ByteConn, ByteSink } from '../conn.ts';
import { ProxyError } from '../errors.ts';
import type { ConnAddresses } from '../stream-conn.ts';

const HIGH_WATER_BYTES = 64 * 1024;

class MemoryConn implements ByteConn {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  peer: MemoryConn | undefined;
  readonly #inbox: Uint8Array[] = [];
  #inboxBytes = 0;
  #sink: ByteSink | undefined;
  #isPaused = false;
  #isScheduled = false;
  #isWriterWaiting = false;
  #hasEnded = false;
  #peerEnded = false;
  #endDelivered = false;
  #isClosing = false;
  #error: Error | undefined;
  #closeDelivered = false;

  constructor(addresses: ConnAddresses) {
    this.remoteAddress = addresses.remoteAddress;
    this.remotePort = addresses.remotePort;
    this.localAddress = addresses.localAddress;
    this.localPort = addresses.localPort;
  }

  start(sink: ByteSink): void {
    if (this.#sink !== undefined) {
      throw new Error('start was called twice');
    }
    this.#sink = sink;
    this.#schedule();
  }

  write(chunk: Uint8Array): boolean {
    const { peer } = this;
    if (this.#hasEnded || this.#isClosing || peer === undefined) {
      return true;
    }
    if (peer.#isClosing) {
      this.close(gone());
      return true;
    }
    peer.#inbox.push(Uint8Array.from(chunk));
    peer.#inboxBytes += chunk.length;
    peer.#schedule();
    this.#isWriterWaiting = peer.#inboxBytes >= HIGH_WATER_BYTES;
    return !this.#isWriterWaiting;
  }

  end(): void {
    if (this.#hasEnded || this.#isClosing) {
      return;
    }
    this.#hasEnded = true;
    if (this.peer !== undefined) {
      this.peer.#peerEnded = true;
      this.peer.#schedule();
    }
    this.#schedule();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#schedule();
  }

  destroy(reason?: MeshError): void {
    if (this.#isClosing) {
      return;
    }
    // As a kernel does: closing with everything read is an end to the peer, anything else a reset.
    const isReset = reason !== undefined || this.#inbox.length > 0;
    this.close(reason);
    if (this.peer === undefined) {
      return;
    }
    if (isReset) {
      this.peer.close(gone());
    } else {
      this.peer.#peerEnded = true;
      this.peer.#schedule();
    }
  }

  close(error: Error | undefined): void {
    if (!this.#isClosing) {
      this.#isClosing = true;
      this.#error = error;
      this.#inbox.length = 0;
      this.#schedule();
    }
  }

  #schedule(): void {
    if (!this.#isScheduled && this.#sink !== undefined) {
      this.#isScheduled = true;
      queueMicrotask(() => {
        this.#isScheduled = false;
        this.#step();
      });
    }
  }

  /** One delivery. */
  #step(): void {
    const sink = this.#sink;
    if (sink === undefined || this.#closeDelivered) {
      return;
    }
    if (this.#isClosing) {
      this.#closeDelivered = true;
      sink.onClose(this.#error);
      return;
    }
    if (!this.#isPaused) {
      this.#read(sink);
    }
    if (this.#hasEnded && this.#endDelivered && this.peer?.hasRead) {
      this.close(undefined);
    }
  }

  #read(sink: ByteSink): void {
    const chunk = this.#inbox.shift();
    if (chunk !== undefined) {
      this.#inboxBytes -= chunk.length;
      this.#schedule();
      sink.onData(chunk);
      this.peer?.release(this.#inboxBytes);
    } else if (this.#peerEnded && !this.#endDelivered) {
      this.#endDelivered = true;
      this.#schedule();
      this.peer?.wake();
      sink.onEnd();
    }
  }

  get hasRead(): boolean {
    return this.#endDelivered || this.#isClosing;
  }

  wake(): void {
    this.#schedule();
  }

  release(pendingBytes: number): void {
    if (this.#isWriterWaiting && pendingBytes < HIGH_WATER_BYTES / 2 && !this.#isClosing) {
      this.#isWriterWaiting = false;
      queueMicrotask(() => this.#closeDelivered || this.#isClosing || this.#sink?.onDrain());
    }
  }
}

function gone(): ProxyError {
  return new ProxyError('PROXY_PEER_GONE', 'reset by the peer', { side: 'downstream' });
}

export interface ConnPairOptions {
  /** Address of the first end, as the second sees it. */
  readonly address: string;
  readonly port: number;
  readonly peerAddress: string;
  readonly peerPort: number;
}

/** Two joined ends; what one writes the other gets. */
export function connPair(options: Partial<ConnPairOptions> = {}): [ByteConn, ByteConn] {
  const { address = '10.0.0.1', port = 40_000, peerAddress = '10.0.0.2', peerPort = 80 } = options;
  const near = new MemoryConn({
    localAddress: address,
    localPort: port,
    remoteAddress: peerAddress,
    remotePort: peerPort,
  });
  const far = new MemoryConn({
    localAddress: peerAddress,
    localPort: peerPort,
    remoteAddress: address,
    remotePort: port,
  });
  near.peer = far;
  far.peer = near;
  return [near, far];
}
