/**
 * The controller's admin API over its unix socket (or `http://HOST:PORT` on loopback).
 *
 * Every failure to get an answer is a UserError with exit code 69, so that scripts can tell it from a
 * finding.
 */
import { request } from 'node:http';
import { EXIT, UserError } from './errors.ts';

/** Silence for this long is no answer. */
const IDLE_TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 256 * 1024 * 1024;

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export class AdminClient {
  readonly #target: string;

  /** A socket's path, or an `http://` address. */
  constructor(target: string) {
    this.#target = target;
  }

  get target(): string {
    return this.#target;
  }

  /** The JSON of a 200. Throws a UserError for anything else. */
  async get(path: string): Promise<unknown> {
    const { status, body } = await this.ask(path);
    if (status !== 200) throw this.#unexpected(`${path} answered with ${status}`, body);
    return body;
  }

  /** Any status with a JSON body. */
  async ask(path: string): Promise<Answer> {
    const { status, text } = await this.#fetch(path);
    try {
      return { status, body: JSON.parse(text) as unknown };
    } catch (cause) {
      throw new UserError(`the answer of "${this.#target}" to ${path} is not JSON`, {
        why: `status ${status}; it may not be a controller's admin socket`,
        exitCode: EXIT.unavailable,
        cause,
      });
    }
  }

  /** The `items` of a list. */
  async list(path: string): Promise<readonly unknown[]> {
    const body = await this.get(path);
    if (typeof body === 'object' && body !== null && 'items' in body && Array.isArray(body.items)) {
      return body.items;
    }
    throw this.#unexpected(`${path} is no list`, body);
  }

  async #fetch(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
    const where = this.#target.startsWith('http://')
      ? { host: new URL(this.#target).hostname, port: new URL(this.#target).port || '80' }
      : { socketPath: this.#target };
    const outgoing = request({ ...where, path, headers: { accept: 'application/json' } });
    outgoing.setTimeout(IDLE_TIMEOUT_MS, () => {
      outgoing.destroy(new Error(`no answer within ${IDLE_TIMEOUT_MS / 1000} s`));
    });
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > ANSWER_BYTES_MAX) outgoing.destroy(new Error('the answer is too long'));
        else chunks.push(chunk);
      });
      response.once('error', reject);
      response.once('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          text: Buffer.concat(chunks).toString('utf8'),
        });
      });
    });
    outgoing.end();
    try {
      return await promise;
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  #unreachable(error: unknown): UserError {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const why =
      WHY_UNREACHABLE.get(code) ?? (error instanceof Error ? error.message : String(error));
    return new UserError(`the controller does not answer at "${this.#target}"`, {
      why,
      fix: 'start a lab (meshctl lab up -f DIR), or name its admin socket with --controller',
      exitCode: EXIT.unavailable,
      cause: error,
    });
  }

  #unexpected(what: string, body: unknown): UserError {
    const said =
      typeof body === 'object' && body !== null && 'error' in body ? String(body.error) : undefined;
    return new UserError(`the controller at "${this.#target}": ${what}`, {
      why: said ?? 'it may be of another version than meshctl',
      exitCode: EXIT.unavailable,
    });
  }
}

const WHY_UNREACHABLE: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'there is no such socket'],
  ['ECONNREFUSED', 'nobody listens there (any more)'],
  ['EACCES', 'this user may not open the socket'],
  ['ECONNRESET', 'it closed the connection without an answer'],
]);
