/**
 * The admin API of one program: by its unix socket, by `http://HOST:PORT` on loopback, or through the API server.
 *
 * Every failure to get an answer is a UserError with exit code 69, so that scripts can tell it from a
 * finding.
 */
import { type ClientRequest, type IncomingMessage, type RequestOptions, request } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Clock, systemClock } from '@ambit/core';
import { EXIT, UserError } from './errors.ts';

/** An API server waits half a minute for a node that is off. */
const CONNECT_TIMEOUT_MS = 5_000;
/** Until the answer begins. */
const IDLE_TIMEOUT_MS = 10_000;
/** Until the whole answer is there: dumps of large meshes come through the API server. */
const ANSWER_TIMEOUT_MS = 120_000;
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface AdminClientOptions {
  /** For messages. Default `the controller`. */
  readonly who?: string;
  /** What to do when it does not answer. */
  readonly fix?: string;
  /** Instead of dialling the target. */
  readonly connect?: () => Promise<Duplex>;
  readonly clock?: Clock;
}

export class AdminClient {
  readonly #target: string;
  readonly #options: AdminClientOptions;

  /** A socket's path or an `http://` address; with `connect` any name that people know. */
  constructor(target: string, options: AdminClientOptions = {}) {
    this.#target = target;
    this.#options = options;
  }

  get target(): string {
    return this.#target;
  }

  get #who(): string {
    return this.#options.who ?? 'the controller';
  }

  /** The JSON of a 200. Throws a UserError for anything else. */
  async get(path: string): Promise<unknown> {
    const { status, body } = await this.ask(path);
    if (status !== 200) throw this.#unexpected(`${path} answered with ${status}`, body);
    return body;
  }

  /** Any status with a JSON body. */
  async ask(path: string, method: 'GET' | 'POST' = 'GET'): Promise<Answer> {
    const { status, text } = await this.#fetch(path, method);
    try {
      return { status, body: JSON.parse(text) as unknown };
    } catch (cause) {
      throw new UserError(`the answer of "${this.#target}" to ${path} is not JSON`, {
        why: `status ${status}; it may not be an admin API of Ambit`,
        exitCode: EXIT.unavailable,
        cause,
      });
    }
  }

  /** The text of a 200. Throws a UserError for anything else. */
  async post(path: string): Promise<string> {
    const { status, text } = await this.#fetch(path, 'POST');
    if (status !== 200) throw this.#unexpected(`${path} answered with ${status}`, { error: text });
    return text;
  }

  /** The `items` of a list. */
  async list(path: string): Promise<readonly unknown[]> {
    const body = await this.get(path);
    if (typeof body === 'object' && body !== null && 'items' in body && Array.isArray(body.items)) {
      return body.items;
    }
    throw this.#unexpected(`${path} is no list`, body);
  }

  async #fetch(
    path: string,
    method: 'GET' | 'POST' = 'GET',
  ): Promise<{ readonly status: number; readonly text: string }> {
    const { connect, clock = systemClock } = this.#options;
    const done = new AbortController();
    const outgoing = request({
      ...(connect === undefined ? this.#dialled() : await this.#connected(connect)),
      path,
      method,
      headers: { accept: 'application/json' },
    });
    try {
      const late = (ms: number): Promise<never> => lateAfter(clock, ms, done.signal);
      const response = await Promise.race([responseOf(outgoing), late(IDLE_TIMEOUT_MS)]);
      const text = await Promise.race([textOf(response), late(ANSWER_TIMEOUT_MS)]);
      return { status: response.statusCode ?? 0, text };
    } catch (error) {
      throw this.#unreachable(error);
    } finally {
      done.abort();
      outgoing.destroy();
    }
  }

  #dialled(): { readonly socketPath: string } | { readonly host: string; readonly port: string } {
    if (!this.#target.startsWith('http://')) return { socketPath: this.#target };
    const { hostname, port } = new URL(this.#target);
    return { host: hostname, port: port || '80' };
  }

  async #connected(connect: () => Promise<Duplex>): Promise<RequestOptions> {
    const { clock = systemClock } = this.#options;
    const done = new AbortController();
    const connecting = connect();
    try {
      const stream = await Promise.race([
        connecting,
        lateAfter(clock, CONNECT_TIMEOUT_MS, done.signal),
      ]);
      // A stream has what is used of a socket.
      return { host: 'localhost', createConnection: () => stream as Socket };
    } catch (error) {
      abandon(connecting);
      throw this.#unreachable(error);
    } finally {
      done.abort();
    }
  }

  #unreachable(error: unknown): UserError {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const why =
      WHY_UNREACHABLE.get(code) ?? (error instanceof Error ? error.message : String(error));
    return new UserError(`${this.#who} does not answer at "${this.#target}"`, {
      why,
      fix: this.#options.fix ?? FIX,
      exitCode: EXIT.unavailable,
      cause: error,
    });
  }

  #unexpected(what: string, body: unknown): UserError {
    const said =
      typeof body === 'object' && body !== null && 'error' in body ? String(body.error) : undefined;
    return new UserError(`${this.#who} at "${this.#target}": ${what}`, {
      why: said ?? 'it may be of another version than meshctl',
      exitCode: EXIT.unavailable,
    });
  }
}

const FIX = 'start a lab (meshctl lab up -f DIR), or name its admin socket with --controller';

let abandoned = 0;

/** Connections that nobody waits for any more; they would keep the process for as long as they take. */
export function abandonedConnections(): number {
  return abandoned;
}

function abandon(connecting: Promise<Duplex>): void {
  abandoned += 1;
  const forget = (): void => {
    abandoned -= 1;
  };
  connecting.then((stream) => {
    stream.destroy();
    forget();
  }, forget);
}

function responseOf(outgoing: ClientRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  outgoing.once('response', resolve);
  // Also after the answer has begun: then the response fails too, and says it.
  outgoing.on('error', reject);
  outgoing.end();
  return promise;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function lateAfter(clock: Clock, ms: number, signal: AbortSignal): Promise<never> {
  try {
    await clock.sleep(ms, signal);
  } catch {
    // The answer was in time: whoever raced has ended.
    return await new Promise<never>(() => undefined);
  }
  throw new Error(`no answer within ${ms / 1000} s`);
}

const WHY_UNREACHABLE: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'there is no such socket'],
  ['ECONNREFUSED', 'nobody listens there (any more)'],
  ['EACCES', 'this user may not open the socket'],
  ['ECONNRESET', 'it closed the connection without an answer'],
]);
