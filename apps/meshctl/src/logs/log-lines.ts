/** Lines of Ambit's programs: one JSON object each. What is no such line is shown as it is, never lost. */
import { textAt } from '../install/cluster.ts';

export interface LogLine {
  /** Program that wrote it, for people. */
  readonly from: string;
  readonly text: string;
  /** Absent for what is no JSON. */
  readonly json?: Readonly<Record<string, unknown>>;
  /** For the order; of what has no time, that of the line before. */
  readonly atMs: number;
}

/** Longer lines are cut, where a program printed something else. */
const LINE_CHARS_MAX = 64 * 1024;

/** Turns chunks into lines; one for each log. */
export class LineReader {
  readonly #from: string;
  #rest = '';
  #lastMs = 0;

  constructor(from: string) {
    this.#from = from;
  }

  push(chunk: string): readonly LogLine[] {
    const parts = `${this.#rest}${chunk}`.split('\n');
    this.#rest = (parts.pop() ?? '').slice(0, LINE_CHARS_MAX);
    return parts.filter((text) => text !== '').map((text) => this.#line(text));
  }

  /** What came after the last newline. */
  end(): readonly LogLine[] {
    return this.push('\n');
  }

  #line(text: string): LogLine {
    const json = parsed(text);
    const atMs = Date.parse(textAt(json, 'time'));
    if (!Number.isNaN(atMs)) this.#lastMs = atMs;
    return { from: this.#from, text, atMs: this.#lastMs, ...(json === undefined ? {} : { json }) };
  }
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null
      ? (json as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Of HTTP: somebody may not, or is not who they say. */
const REFUSING_STATUS = new Set([401, 403]);
/** Of agents: policy said no, or an identity was not what it has to be. */
const REFUSING_FLAGS = new Set(['DENY', 'IDENTITY_ERROR', 'TLS_FAILURE']);

/**
 * A connection or request that the mesh refused, or a certificate that the CA did; not what failed for want of a
 * network.
 */
export function isRefusal({ json }: LogLine): boolean {
  if (json === undefined) return false;
  if (textAt(json, 'message') === 'certificate refused') return true;
  if (textAt(json, 'scope') !== 'access') return false;
  if (textAt(json, 'message') === 'connection failed') return true;
  const status = json['response_code'];
  if (typeof status === 'number' && REFUSING_STATUS.has(status)) {
    // An answer of the application itself has no error of ours.
    return json['error'] !== undefined || json['policy'] !== undefined;
  }
  const isError = json['error'] !== undefined;
  const flags = textAt(json, 'response_flags').split(',');
  return (
    isError && (json['policy'] !== undefined || flags.some((flag) => REFUSING_FLAGS.has(flag)))
  );
}

/** `12:00:01.002 node1: shop/client → reviews.shop:80 GET /x: denied … (policy shop/deny rule 0)` */
export function refusalText({ json, from, text }: LogLine): string {
  if (json === undefined) return `${from}: ${text}`;
  const time = textAt(json, 'time').slice(11, 23);
  if (textAt(json, 'message') === 'certificate refused') {
    return clean(
      `${time} ${from}: certificate ${textAt(json, 'requestedIdentity')} for ${textAt(json, 'caller')}: ${textAt(json, 'reason')}`,
    );
  }
  const caller = textAt(json, 'src.caller') || textAt(json, 'src.identity');
  const source = caller || named(json, 'src') || textAt(json, 'src.addr') || 'somebody';
  const target = textAt(json, 'dst.service') || named(json, 'dst') || textAt(json, 'dst.addr');
  const address = textAt(json, 'dst.hbone_addr') || textAt(json, 'dst.addr');
  const port = /:(\d+)$/.exec(address)?.[1];
  const request = [textAt(json, 'method'), textAt(json, 'path')]
    .filter((part) => part !== '')
    .join(' ');
  const status = json['response_code'];
  const policy = textAt(json, 'policy');
  const rule = json['rule'];
  const why = [
    ...(typeof status === 'number' ? [String(status)] : []),
    textAt(json, 'error') || textAt(json, 'response_flags'),
    ...(policy === ''
      ? []
      : [`(policy ${policy}${typeof rule === 'number' ? ` rule ${rule}` : ''})`]),
  ];
  const to = port === undefined || target.endsWith(`:${port}`) ? target : `${target}:${port}`;
  return clean(
    `${time} ${from}: ${source} → ${to}${request === '' ? '' : ` ${request}`}: ${why.join(' ')}`,
  );
}

function named(json: unknown, side: 'src' | 'dst'): string {
  const workload = textAt(json, `${side}.workload`);
  return workload === '' ? '' : `${textAt(json, `${side}.namespace`)}/${workload}`;
}

/** Others' text must not reach the terminal as control characters. */
export function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed.
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]+/g, ' ');
}
