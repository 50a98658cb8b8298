/** Every bound of the engine, with its default and where the number comes from. */

export interface HttpLimits {
  /** Of one request, names and values. */
  readonly headerBytesMax: number;
  readonly headersMax: number;
  /** Streams that one HTTP/2 client may have open. */
  readonly streamsPerConnectionMax: number;
  /** Requests in work in this process; beyond, 503 with flag OM. */
  readonly requestsMax: number;
  /** Body kept for retries. */
  readonly replayBytesMax: number;
  /** Mirrored requests in flight; beyond, a mirror is left out and counted. */
  readonly mirrorsMax: number;
  /** From the first byte to the end of the headers. */
  readonly headersTimeoutMs: number;
  /** A client connection without a request. */
  readonly idleTimeoutMs: number;
  /** A body that somebody reads brings at least a byte in such a time, until the answer begins. Calls of gRPC are exempt. */
  readonly bodyWindowMs: number;
  /** A client that takes nothing of its answer for so long is cut. One that pauses a download is not. */
  readonly writeStallMs: number;
  /** Idle upstream connections kept, all endpoints together. */
  readonly idleUpstreamMax: number;
  /** HTTP/2 sessions to endpoints; beyond, an idle one gives way, or the request is refused. */
  readonly upstreamSessionsMax: number;
  readonly sniffTimeoutMs: number;
}

export const HTTP_LIMITS: HttpLimits = {
  // Envoy's defaults.
  headerBytesMax: 60 * 1024,
  headersMax: 100,
  streamsPerConnectionMax: 100,
  requestsMax: 20_000,
  replayBytesMax: 64 * 1024,
  mirrorsMax: 1_024,
  headersTimeoutMs: 60_000,
  idleTimeoutMs: 3_600_000,
  bodyWindowMs: 300_000,
  writeStallMs: 300_000,
  idleUpstreamMax: 4_096,
  upstreamSessionsMax: 4_096,
  sniffTimeoutMs: 5_000,
};
