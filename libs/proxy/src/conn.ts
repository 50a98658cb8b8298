/**
 * The push contract: how bytes move in Ambit. Sockets, TLS and tunnels implement it, and `copyBoth`
 * joins two of them.
 *
 * Rules: `start` once, before anything arrives at the sink. `write` returns false when the caller
 * should wait for `onDrain`; what was written is never lost by that. `end` closes our direction only.
 * After `onClose` nothing more is called, and `onClose` is called exactly once, also after `destroy`.
 * A chunk given to `onData` is valid after the call (the receiver may keep it), except where the sink
 * says that it `borrows`; a chunk given to `write` must not change afterwards, one given to
 * `writeBorrowed` may.
 */
import type { MeshError } from '@ambit/core';

export interface ByteSink {
  /** Chunks are lent: each is valid during the call of `onData` only, which saves a copy of it. */
  readonly borrows?: boolean;
  onData(chunk: Uint8Array): void;
  /** The peer ended its direction (FIN, END_STREAM). Ours stays open. */
  onEnd(): void;
  /** `write` returned false before; now it takes more. */
  onDrain(): void;
  /** Over, both directions. Without error: both sides ended, or `destroy` without reason. */
  onClose(error?: Error): void;
}

export interface ByteConn {
  /** Delivers from now on. Data that came before is held (bounded by the transport's window). */
  start(sink: ByteSink): void;
  /** False: wait for `onDrain`. After `end` or `destroy` it drops the chunk and returns true. */
  write(chunk: Uint8Array): boolean;
  /** The same for a chunk that is valid during the call only. See `writeBorrowed`. */
  writeBorrowed?(chunk: Uint8Array): boolean;
  /** The same for several chunks, which the transport sends with as few calls as it can. See `writeAll`. */
  writeAll?(chunks: readonly Uint8Array[]): boolean;
  /**
   * The same, and `onTaken` is called once, later, when nobody reads the chunk any more: its memory may be used again,
   * unless with an error. Only where the transport can tell, and then whoever writes so waits for `onTaken` before more.
   */
  writeTracked?(chunk: Uint8Array, onTaken: (error?: Error | null) => void): void;
  /**
   * What was written and has not left yet, also after `end`: it changes whenever bytes leave, and 0 is nothing. Only
   * where the transport can tell, and of a tunnel's stream only what its session has not taken yet.
   */
  readonly pendingBytes?: number | undefined;
  /** The amount of that which waits in memory of this thread, where `pendingBytes` is a measure alone. */
  readonly heldBytes?: number | undefined;
  /** Half-close: no more from us. Idempotent. */
  end(): void;
  /** Stop delivering (backpressure towards the peer). Idempotent. */
  pause(): void;
  resume(): void;
  /** Now, both directions. Idempotent; the first reason is the one reported. */
  destroy(reason?: MeshError): void;
  /** Canonical text of the peer's and the local address; a tunnel reports its carrier's. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

/** Writes all chunks, at once where the connection can. False: wait for `onDrain`. */
export function writeAll(conn: ByteConn, chunks: readonly Uint8Array[]): boolean {
  if (conn.writeAll !== undefined) {
    return conn.writeAll(chunks);
  }
  let takesMore = true;
  for (const chunk of chunks) {
    takesMore = conn.write(chunk);
  }
  return takesMore;
}

/** Writes a chunk that is valid during the call only. False: wait for `onDrain`. */
export function writeBorrowed(conn: ByteConn, chunk: Uint8Array): boolean {
  return conn.writeBorrowed === undefined
    ? conn.write(Buffer.from(chunk))
    : conn.writeBorrowed(chunk);
}
