/** How long a connection waits for its peer, in each thing that it can wait for. */

export interface H1Timeouts {
  /** From the first byte of a request to the end of its head, and from the start to the first byte. Then 408, or a close. */
  readonly headMs: number;
  /** Between requests. */
  readonly idleMs: number;
  /** A request's body brings at least `bodyBytesMin` in each window in which somebody reads it. Then 408. */
  readonly bodyWindowMs: number;
  readonly bodyBytesMin: number;
  /** What was written and does not fit into the transport is taken within this time, or the connection is cut. */
  readonly writeMs: number;
  /** After a last response: how long, and how much, is read and dropped, so that the peer gets the response and no reset. */
  readonly lingerMs: number;
  readonly lingerBytesMax: number;
}

export const H1_TIMEOUTS: H1Timeouts = {
  // The engine's.
  headMs: 60_000,
  idleMs: 3_600_000,
  // A stream of events may be silent for long, but not for ever; an edge wants more.
  bodyWindowMs: 300_000,
  bodyBytesMin: 1,
  writeMs: 60_000,
  // nginx: 30 s at most, a pause of 5 s ends it.
  lingerMs: 10_000,
  lingerBytesMax: 1024 * 1024,
};
