/**
 * The attacks of HTTP/2 that have names, as a client sends them to any server, each with the bound that ends it. What each
 * bound does is proven in `limits.test.ts`; these are for whole servers with a healthy client beside.
 */
import type { ByteConn } from '@ambit/proxy';
import { FLAG, FRAME } from '../frames/protocol.ts';
import type { H2Counters } from '../session/counters.ts';
import { frame } from './frames.ts';
import {
  block,
  data,
  headers,
  ping,
  RawPeer,
  reset,
  settings,
  settled,
  windowUpdate,
} from './raw-peer.ts';

export interface H2Attack {
  readonly name: string;
  /** One more of what comes in floods; `n` counts from 0, and `request` is what this server takes as one. */
  readonly one: (n: number, request: readonly string[]) => readonly Uint8Array[];
  readonly first?: (request: readonly string[]) => readonly Uint8Array[];
  readonly count: number;
  /** Which counter of the server's tells of it. */
  readonly counted: (counters: H2Counters) => number;
}

const id = (n: number): number => 2 * n + 1;
const TABLE_ENTRY_BYTES = 3_900;
/** With the entry itself 51 KB, of 60 KiB that a server at an edge takes. */
const REFERENCES_TAKEN = 12;
const INITIAL_WINDOW_SIZE = 4;

/** One entry of the table, and references of one byte each. */
function headerBomb(
  n: number,
  request: readonly string[],
  { references, flags = 0 }: { readonly references: number; readonly flags?: number },
): Buffer {
  const entry = Buffer.concat([
    Buffer.from([0x40, 1, 0x78, 0x7f, ...varint(TABLE_ENTRY_BYTES - 127)]),
    Buffer.alloc(TABLE_ENTRY_BYTES, 0x79),
  ]);
  const bomb = Buffer.concat([block(request), entry, Buffer.alloc(references, 0xbe)]);
  return frame(FRAME.HEADERS, id(n), bomb, FLAG.END_HEADERS | flags);
}

const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];

export const H2_ATTACKS: readonly H2Attack[] = [
  {
    name: 'rapid reset',
    one: (n, request) => [headers(id(n), request), reset(id(n))],
    count: 1_000,
    counted: ({ floods }) => floods.unansweredResets + floods.resets,
  },
  {
    name: 'streams that we are made to reset',
    one: (n, request) => [headers(id(n), request), windowUpdate(id(n), 0)],
    count: 1_000,
    counted: ({ floods }) => floods.streamErrors,
  },
  {
    name: 'CONTINUATION flood',
    first: (request) => [frame(FRAME.HEADERS, 1, block(request))],
    one: () => [frame(FRAME.CONTINUATION, 1, '\0\x01x\x01y')],
    count: 1_000,
    counted: ({ boundsReached }) => boundsReached,
  },
  {
    name: 'SETTINGS flood',
    one: () => [settings()],
    count: 500,
    counted: ({ floods }) => floods.settings,
  },
  { name: 'PING flood', one: () => [ping()], count: 1_000, counted: (all) => all.floods.pings },
  {
    name: 'WINDOW_UPDATE flood',
    one: () => [windowUpdate(0, 1)],
    count: 4_000,
    counted: ({ floods }) => floods.windowUpdates,
  },
  {
    name: 'PRIORITY flood',
    one: () => [frame(FRAME.PRIORITY, 9, '\0\0\0\x03\0')],
    count: 2_000,
    counted: ({ floods }) => floods.priorities,
  },
  {
    name: 'DATA of length 0',
    first: (request) => [headers(1, request)],
    one: () => [data(1, '')],
    count: 2_000,
    counted: ({ floods }) => floods.emptyData,
  },
  {
    name: 'frames of unknown types',
    one: () => [frame(0xef, 0, 'x')],
    count: 2_000,
    counted: ({ floods }) => floods.unknownFrames,
  },
  {
    name: 'header bomb by references of HPACK',
    one: (n, request) => [headerBomb(n, request, { references: 10_000 })],
    count: 30,
    counted: ({ floods }) => floods.oversizeHeaders,
  },
];

/**
 * Attacks by streams that stay open, on a server that answers no request before its end: what comes beyond the streams that it
 * takes ends the connection.
 */
export const H2_STREAM_ATTACKS: readonly H2Attack[] = [
  {
    name: 'more streams than are taken',
    one: (n, request) => [headers(id(n), request)],
    count: 1_000,
    counted: ({ floods }) => floods.refusedStreams,
  },
  {
    // Each is below every bound of fields, and its answer cannot leave.
    name: 'references of HPACK, and a window of 0',
    first: () => [settings([INITIAL_WINDOW_SIZE, 0])],
    one: (n, request) => [
      headerBomb(n, request, { references: REFERENCES_TAKEN, flags: FLAG.END_STREAM }),
    ],
    count: 1_000,
    counted: ({ floods }) => floods.refusedStreams,
  },
];

/** At a time, so that the server's answers are between them. */
const BATCH = 250;
const LAST_WORD = 'the end?';

/** Attacks until the server ends the connection; throws when it never does. */
export async function attackByHttp2(
  conn: ByteConn,
  attack: H2Attack,
  request: readonly string[],
): Promise<void> {
  const peer = new RawPeer(conn, 'client');
  try {
    peer.greetAsClient();
    peer.send(...(attack.first?.(request) ?? []));
    for (let sent = 0; sent < attack.count && !peer.isClosed && !peer.isEnded; sent += BATCH) {
      const count = Math.min(BATCH, attack.count - sent);
      const frames = Array.from({ length: count }, (_, n) => attack.one(sent + n, request)).flat();
      peer.send(Buffer.concat(frames));
      await settled(2);
    }
    // Whoever still answers has not ended it.
    peer.send(ping(LAST_WORD));
    while (!peer.isClosed && !peer.isEnded) {
      if (peer.frames.at(-1) === `PING ack ${LAST_WORD}`) {
        throw new Error(`${attack.name}: the server goes on`);
      }
      await settled(20);
    }
  } finally {
    peer.destroy();
  }
}
