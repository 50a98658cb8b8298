/**
 * What a stream of Node was given and has not passed on, to the byte where that can be known.
 *
 * Rule: a measure that changes whenever bytes leave, not an amount: Node says of a write only when all of it has left, which
 * takes a slow reader a minute, and its handles, which know more, are no public interface. In a version of Node without
 * them, or on another stream, the measure is as coarse as the writes.
 */
import type { Duplex } from 'node:stream';

export function writeQueueOf(stream: Duplex): number {
  const handle: unknown = Reflect.get(stream, '_handle');
  // TLS has encrypted all of a write at once; the socket under it knows what the kernel has taken.
  const carrier = fieldOf(handle, '_parent') ?? handle;
  const queued = fieldOf(carrier, 'writeQueueSize');
  return stream.writableLength + (typeof queued === 'number' ? queued : 0);
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
