/** Steps of the conversations in `fixtures/recorded-conversations.json`: what each side said, frame by frame. */
import type { Fields } from '@ambit/h2';
import type { ByteConn } from '@ambit/proxy';

import recordings from '../fixtures/recorded-conversations.json' with { type: 'json' };

export interface Step {
  readonly from: string;
  readonly type: string;
  readonly stream: number;
  readonly flags: readonly string[];
  readonly bytes: string;
  readonly fields?: readonly string[];
}

export interface Conversation {
  readonly name: string;
  readonly description: string;
  readonly steps: readonly Step[];
}

export const CONVERSATIONS: readonly Conversation[] = recordings;

const FRAME_HEADER_BYTES = 9;

export const bytesOf = (step: Step): Buffer => Buffer.from(step.bytes, 'base64');
export const payloadOf = (step: Step): Buffer => bytesOf(step).subarray(FRAME_HEADER_BYTES);
export const endsStream = ({ flags }: Step): boolean => flags.includes('END_STREAM');
export const isAck = ({ flags }: Step): boolean => flags.includes('ACK');

/** DATA, and then the end, that `from` sent on a stream. */
export function sentOn(steps: readonly Step[], from: string, id: number) {
  const own = steps.filter((step) => step.from === from && step.stream === id);
  const data = own.filter(({ type }) => type === 'DATA');
  return {
    text: Buffer.concat(data.map(payloadOf)).toString('latin1'),
    hasEnded: own.some(endsStream),
  };
}

/** What the application at the end of a stream of ours does. */
export function speak(stream: ByteConn, step: Step): void {
  if (step.type === 'DATA') {
    const payload = payloadOf(step);
    if (payload.length > 0) {
      stream.write(payload);
    }
    if (endsStream(step)) {
      stream.end();
    }
  }
}

/** Of header fields in turn, names and values. */
export function withoutPseudo(fields: readonly string[]): Fields {
  const at = fields.findLastIndex((name, index) => index % 2 === 0 && name.startsWith(':'));
  return fields.slice(at + 2);
}

export function fieldOf(step: Step, name: string): string {
  const at = step.fields?.indexOf(name) ?? -1;
  return step.fields?.[at + 1] ?? '';
}

/** A frame of HEADERS, DATA or RST_STREAM in the words of `RawPeer`. */
export function wordsOf(step: Step): string {
  const { type, stream, fields = [] } = step;
  const end = endsStream(step) ? ' end' : '';
  switch (type) {
    case 'HEADERS': {
      const text = fields.map((part, at) => (at % 2 === 0 ? ` ${part}=` : part)).join('');
      return `HEADERS ${stream}${text}${end}`;
    }
    case 'DATA':
      return `DATA ${stream} ${payloadOf(step).length}${end}`;
    default:
      return `RST_STREAM ${stream} NO_ERROR`;
  }
}

/** Those of one side that `wordsOf` has words for. */
export function toldBy(steps: readonly Step[], from: string): string[] {
  return steps.filter((step) => step.from === from && isTold(step)).map(wordsOf);
}

function isTold({ type }: Step): boolean {
  return type === 'HEADERS' || type === 'DATA' || type === 'RST_STREAM';
}
