/**
 * What a peer may make an HTTP/2 session do and hold.
 *
 * Rule: every number here is a bound with an answer at it and a counter (`counters.ts`), and a test that reaches
 * it. Rates are token buckets: so many at once, then so many a second.
 */
import { WINDOW_BYTES_DEFAULT } from '../frames/protocol.ts';

/** What can come in floods, each with its own bucket. Beyond: GOAWAY with ENHANCE_YOUR_CALM. */
export const FLOODS = [
  'settings',
  'pings',
  /** Also paid for by the DATA that was sent. */
  'windowUpdates',
  'priorities',
  /** DATA without payload that ends nothing. */
  'emptyData',
  'unknownFrames',
  /** Streams that the peer takes back before they are answered (rapid reset). */
  'unansweredResets',
  'resets',
  /** Frames for which a stream is reset by us (so that a peer cannot make us do the resetting). */
  'streamErrors',
  'refusedStreams',
  'oversizeHeaders',
] as const;
export type Flood = (typeof FLOODS)[number];

export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

export interface H2Limits {
  /** Streams that the peer may have open at a time. Beyond: REFUSED_STREAM. */
  readonly streamsMax: number;
  /** Of a list: names, values and 32 for each. Beyond: 431 to a request, else the stream is reset. */
  readonly headerListBytesMax: number;
  readonly headerFieldsMax: number;
  /** Of a block as sent. Beyond: ENHANCE_YOUR_CALM for the session. */
  readonly headerBlockBytesMax: number;
  readonly continuationsMax: number;
  /** Announced; larger frames are refused. More than the least brings nothing: records of TLS are no larger. */
  readonly frameBytesMax: number;
  readonly settingsPerFrameMax: number;
  /** A stream's receive window at first; doubled while its reader keeps up, to the maximum. */
  readonly streamWindowBytes: number;
  readonly streamWindowBytesMax: number;
  readonly connectionWindowBytes: number;
  /** Unread bytes of all streams, above which the connection's window waits for readers too. */
  readonly heldBytesMax: number;
  /** Of a stream, not yet sent: beyond, `write` says false. */
  readonly sendBufferBytes: number;
  /** Of frames other than DATA that the peer does not take: beyond, nothing more is read from it. */
  readonly backlogBytesMax: number;
  /** Of those, answers to PING and SETTINGS. Beyond: ENHANCE_YOUR_CALM. */
  readonly repliesMax: number;
  /** Streams that are over and still recognised. Older ones are "long closed". */
  readonly closedStreamsMax: number;
  /** For the peer's preface and first SETTINGS. */
  readonly handshakeTimeoutMs: number;
  readonly settingsAckTimeoutMs: number;
  /** The peer takes nothing from the connection although there is something. */
  readonly connectionStallMs: number;
  /** The peer opens no window for a stream that has something to send; 0: for ever (tunnels). */
  readonly streamStallMs: number;
  /** Between our end of the connection and the peer's, while it takes nothing and says nothing. */
  readonly closeTimeoutMs: number;
  /** The same in all, for a peer that takes what is left slowly. */
  readonly closeLingerMs: number;
  readonly rates: Readonly<Record<Flood, Rate>>;
}

const RATES: Readonly<Record<Flood, Rate>> = {
  settings: { burst: 32, perSecond: 1 },
  pings: { burst: 200, perSecond: 20 },
  windowUpdates: { burst: 2_000, perSecond: 200 },
  priorities: { burst: 1_000, perSecond: 100 },
  emptyData: { burst: 100, perSecond: 10 },
  unknownFrames: { burst: 100, perSecond: 10 },
  unansweredResets: { burst: 200, perSecond: 33 },
  resets: { burst: 2_000, perSecond: 500 },
  streamErrors: { burst: 100, perSecond: 10 },
  refusedStreams: { burst: 200, perSecond: 33 },
  oversizeHeaders: { burst: 20, perSecond: 1 },
};

const KIB = 1024;
const MIB = 1024 * KIB;

/** Between agents and waypoints, whose certificates say who they are. Settings of the reference where it has any. */
export const MESH_LIMITS: H2Limits = {
  streamsMax: 200,
  headerListBytesMax: 64 * KIB,
  headerFieldsMax: 128,
  headerBlockBytesMax: 64 * KIB,
  continuationsMax: 8,
  frameBytesMax: 16 * KIB,
  settingsPerFrameMax: 32,
  streamWindowBytes: WINDOW_BYTES_DEFAULT,
  streamWindowBytesMax: 4 * MIB,
  connectionWindowBytes: 16 * MIB,
  heldBytesMax: 64 * MIB,
  sendBufferBytes: 512 * KIB,
  backlogBytesMax: 256 * KIB,
  repliesMax: 1_000,
  closedStreamsMax: 256,
  handshakeTimeoutMs: 5_000,
  settingsAckTimeoutMs: 10_000,
  // What is written at once, half a megabyte, may take so long: 2 KB/s. What is held meanwhile is bounded.
  connectionStallMs: 300_000,
  streamStallMs: 0,
  closeTimeoutMs: 2_000,
  closeLingerMs: 30_000,
  rates: RATES,
};

/** Towards anybody. */
export const EDGE_LIMITS: H2Limits = {
  ...MESH_LIMITS,
  streamsMax: 100,
  streamWindowBytesMax: WINDOW_BYTES_DEFAULT,
  connectionWindowBytes: MIB,
  heldBytesMax: 8 * MIB,
  sendBufferBytes: 64 * KIB,
  backlogBytesMax: 64 * KIB,
  connectionStallMs: 30_000,
  streamStallMs: 60_000,
};
