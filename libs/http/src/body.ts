/**
 * A body on its way: pushed to one reader, who holds it back with `pause`.
 *
 * Rule: `start` once; nothing reaches the sink before it, nothing after `onEnd`, `onFailed` or `cancel`. A source may deliver inside
 * `start` and `resume`.
 */
import type { MeshError } from '@ambit/core';
import type { FieldLines } from './h1/message.ts';

export interface BodySink {
  /** The bytes stay valid after the call. */
  onData(bytes: Uint8Array): void;
  /** The body is whole. */
  onEnd(trailers: FieldLines): void;
  /** It broke off: what came is not all of it. */
  onFailed(error: MeshError): void;
}

export interface BodySource {
  start(sink: BodySink): void;
  /** No more until `resume`; what is on its way in the same turn may still come. Idempotent. */
  pause(): void;
  resume(): void;
  /** Nobody wants the rest. Ends the exchange that it belongs to as far as its protocol can. Idempotent. */
  cancel(reason?: MeshError): void;
}
