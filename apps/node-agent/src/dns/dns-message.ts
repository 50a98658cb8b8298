/**
 * DNS messages as far as the proxy must understand them (RFC 1035 §4): header, one question, and our own answers.
 *
 * Everything else passes as bytes. Names come from strangers: what cannot be a host name is not looked up here.
 */
import { type Answer, decode, encode } from 'dns-packet';
import type { NameAnswer } from './resolve-name.ts';

const HEADER_BYTES = 12;
const NAME_BYTES_MAX = 255;
const LABEL_BYTES_MAX = 63;
const TYPE_A = 1;
const TYPE_AAAA = 28;
const CLASS_IN = 1;
/** Without EDNS no more may be sent over UDP. */
const UDP_BYTES_MIN = 512;
/** What we say that we take, and the most that we send, over UDP: no fragments. */
const UDP_BYTES_MAX = 1232;
const TTL_SECONDS = 30;

export const RCODE = { formatError: 1, serverFailure: 2, notImplemented: 4 } as const;
export type Rcode = (typeof RCODE)[keyof typeof RCODE];

export type Transport = 'udp' | 'tcp';

export interface DnsQuestion {
  /** Undefined when it is no host name (other bytes than letters, digits, `-`, `_`, `*`). Lower case, no final dot. */
  readonly name: string | undefined;
  readonly type: number;
  readonly isInternet: boolean;
  /** Where the question section ends. */
  readonly end: number;
}

export type ParsedQuery =
  | { readonly kind: 'question'; readonly question: DnsQuestion }
  | { readonly kind: 'refuse'; readonly rcode: Rcode }
  /** Too short to answer. */
  | { readonly kind: 'drop' };

/** Never throws. */
export function parseQuery(bytes: Uint8Array): ParsedQuery {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length < HEADER_BYTES) {
    return { kind: 'drop' };
  }
  const flags = view.readUInt16BE(2);
  if ((flags & 0x8000) !== 0) {
    // A response: answering it could make two servers talk for ever, except that the answer is a response too.
    return { kind: 'refuse', rcode: RCODE.formatError };
  }
  if ((flags & 0x7800) !== 0) {
    return { kind: 'refuse', rcode: RCODE.notImplemented };
  }
  if (view.readUInt16BE(4) !== 1) {
    return { kind: 'refuse', rcode: RCODE.formatError };
  }
  const question = parseQuestion(view);
  return question === undefined
    ? { kind: 'refuse', rcode: RCODE.formatError }
    : { kind: 'question', question };
}

export function addressType(question: DnsQuestion): 'A' | 'AAAA' | undefined {
  if (!question.isInternet) {
    return undefined;
  }
  return question.type === TYPE_A ? 'A' : question.type === TYPE_AAAA ? 'AAAA' : undefined;
}

/** For metrics: a closed set. */
export function typeLabel(type: number): string {
  const names: Readonly<Record<number, string>> = {
    1: 'A',
    2: 'NS',
    5: 'CNAME',
    6: 'SOA',
    12: 'PTR',
    15: 'MX',
    16: 'TXT',
    28: 'AAAA',
    33: 'SRV',
    64: 'SVCB',
    65: 'HTTPS',
    255: 'ANY',
  };
  return names[type] ?? 'other';
}

/** The header of the query turned around, with its question if that could be read. */
export function errorResponse(query: Uint8Array, rcode: Rcode): Buffer {
  const view = Buffer.from(query);
  const parsed = parseQuery(query);
  const end = parsed.kind === 'question' ? parsed.question.end : HEADER_BYTES;
  const answer = Buffer.from(view.subarray(0, end));
  // QR, and the opcode and RD of the query; RA.
  answer.writeUInt16BE(0x8000 | (view.readUInt16BE(2) & 0x7900) | 0x0080 | rcode, 2);
  answer.writeUInt16BE(end === HEADER_BYTES ? 0 : 1, 4);
  answer.fill(0, 6, HEADER_BYTES);
  return answer;
}

export interface AnswerOptions {
  readonly query: Uint8Array;
  readonly type: 'A' | 'AAAA';
  readonly answer: NameAnswer;
  readonly transport: Transport;
}

/** Over UDP cut to what the client takes, with TC set, so that it asks again over TCP. */
export function answerResponse({ query, type, answer, transport }: AnswerOptions): Buffer {
  const view = Buffer.from(query);
  const edns = ednsPayload(view);
  const limit =
    transport === 'tcp'
      ? 0xffff
      : Math.min(UDP_BYTES_MAX, Math.max(UDP_BYTES_MIN, edns ?? UDP_BYTES_MIN));
  let addresses = answer.addresses;
  let bytes = encodeAnswer(view, type, { ...answer, addresses }, edns, false);
  while (bytes.length > limit && addresses.length > 0) {
    addresses = addresses.slice(0, Math.floor(addresses.length / 2));
    bytes = encodeAnswer(view, type, { ...answer, addresses }, edns, true);
  }
  return bytes;
}

function encodeAnswer(
  query: Buffer,
  type: 'A' | 'AAAA',
  answer: NameAnswer,
  edns: number | undefined,
  isTruncated: boolean,
): Buffer {
  // The question goes back byte for byte: resolvers may check the case of its letters.
  const parsed = parseQuestion(query);
  const end = parsed?.end ?? HEADER_BYTES;
  const name = readName(query, HEADER_BYTES)?.text ?? '';
  const owner = answer.cname ?? name;
  const records: Answer[] = answer.addresses.map((data) => ({
    name: owner,
    type,
    ttl: TTL_SECONDS,
    data,
  }));
  if (answer.cname !== undefined) {
    records.unshift({ name, type: 'CNAME', ttl: TTL_SECONDS, data: answer.cname });
  }
  const body = encode({
    type: 'response',
    answers: records,
    additionals:
      edns === undefined
        ? []
        : [
            {
              type: 'OPT',
              name: '.',
              udpPayloadSize: UDP_BYTES_MAX,
              flags: 0,
              options: [],
            } as never,
          ],
  });
  const header = Buffer.from(body.subarray(0, HEADER_BYTES));
  header.writeUInt16BE(query.readUInt16BE(0), 0);
  // QR, AA, RA, the RD of the query.
  const truncated = isTruncated ? 0x0200 : 0;
  header.writeUInt16BE(0x8480 | truncated | (query.readUInt16BE(2) & 0x0100), 2);
  header.writeUInt16BE(1, 4);
  return Buffer.concat([header, query.subarray(HEADER_BYTES, end), body.subarray(HEADER_BYTES)]);
}

/** The UDP payload size of the query's OPT record; undefined without one, or if the rest cannot be read. */
function ednsPayload(query: Buffer): number | undefined {
  if (query.readUInt16BE(10) === 0) {
    return undefined;
  }
  try {
    for (const record of decode(query).additionals ?? []) {
      if (record.type === 'OPT' && 'udpPayloadSize' in record) {
        return Number(record.udpPayloadSize);
      }
    }
  } catch {
    // Records that nobody asked us to read.
  }
  return undefined;
}

function parseQuestion(view: Buffer): DnsQuestion | undefined {
  const name = readName(view, HEADER_BYTES);
  if (name === undefined || name.end + 4 > view.length) {
    return undefined;
  }
  return {
    name: name.isHost ? name.text.toLowerCase() : undefined,
    type: view.readUInt16BE(name.end),
    isInternet: view.readUInt16BE(name.end + 2) === CLASS_IN,
    end: name.end + 4,
  };
}

interface ReadName {
  readonly text: string;
  readonly isHost: boolean;
  readonly end: number;
}

/** No compression: there is nothing before the question that it could point to. */
function readName(view: Buffer, start: number): ReadName | undefined {
  const labels: string[] = [];
  let at = start;
  for (;;) {
    const length = view[at];
    if (length === undefined || length > LABEL_BYTES_MAX) {
      return undefined;
    }
    at++;
    if (length === 0) {
      break;
    }
    if (at + length > view.length || at + length - start > NAME_BYTES_MAX - 1) {
      return undefined;
    }
    labels.push(view.toString('latin1', at, at + length));
    at += length;
  }
  return {
    text: labels.join('.'),
    isHost: labels.length > 0 && labels.every((label) => /^[A-Za-z0-9_*-]+$/.test(label)),
    end: at,
  };
}
