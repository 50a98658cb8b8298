/** Writes to an API server and one bare watch of it: what a generator needs, with as little between as can be. */
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { createInterface } from 'node:readline';
import { systemClock } from '@ambit/core';
import { type AppliedCredentials, type KubeCredentials, loadKubeconfig } from '@ambit/kube';

const SOCKETS_MAX = 64;
const STATUS_ERROR = 400;

/** The parts of an answer that are looked at. */
export interface Written {
  readonly metadata?: {
    readonly uid?: string;
    readonly name?: string;
    readonly namespace?: string;
    readonly resourceVersion?: string;
  };
  readonly status?: { readonly token?: string };
  readonly data?: Readonly<Record<string, string>>;
}

export interface WatchedEvent {
  readonly type: string;
  readonly object: Written;
}

export class ApiCalls implements Disposable {
  readonly #credentials: KubeCredentials;
  readonly #applied: AppliedCredentials;
  readonly #agent: Agent;

  private constructor(credentials: KubeCredentials, applied: AppliedCredentials) {
    this.#credentials = credentials;
    this.#applied = applied;
    this.#agent = new Agent({ keepAlive: true, maxSockets: SOCKETS_MAX, ...applied.tls });
  }

  static async open(kubeconfigPath: string): Promise<ApiCalls> {
    const options = { path: kubeconfigPath, environment: process.env, clock: systemClock };
    const credentials = loadKubeconfig(options).credentials();
    return new ApiCalls(credentials, await credentials.apply());
  }

  async post(path: string, body: unknown): Promise<Written> {
    return (await this.#json('POST', path, { body, contentType: 'application/json' })) as Written;
  }

  async mergePatch(path: string, body: unknown): Promise<Written> {
    return (await this.#json('PATCH', path, {
      body,
      contentType: 'application/merge-patch+json',
    })) as Written;
  }

  async delete(path: string): Promise<Written> {
    const body = { gracePeriodSeconds: 0 };
    return (await this.#json('DELETE', path, { body, contentType: 'application/json' })) as Written;
  }

  async get(path: string): Promise<Written> {
    return (await this.#json('GET', path, undefined)) as Written;
  }

  /** All of a path, in one answer. `T`: what the caller reads of an item. */
  async list<T>(path: string): Promise<readonly T[]> {
    const { items } = (await this.#json('GET', path, undefined)) as {
      readonly items: readonly T[];
    };
    return items;
  }

  /** From now on, until `signal` aborts. Resolves when the stream is open. */
  async watch(
    path: string,
    { signal, onEvent }: { signal: AbortSignal; onEvent: (event: WatchedEvent) => void },
  ): Promise<void> {
    const { metadata } = await this.get(`${path}?limit=1`);
    const from = metadata?.resourceVersion ?? '';
    const query = `?watch=1&allowWatchBookmarks=true&resourceVersion=${from}`;
    // A connection of its own: this one never ends.
    const answer = await this.#send('GET', path + query, { agent: false, signal });
    const lines = createInterface({ input: answer });
    // Aborted at the end of the run; a watch that breaks earlier leaves changes unseen, which fails the sample.
    lines.on('error', () => undefined);
    lines.on('line', (line) => onEvent(JSON.parse(line) as WatchedEvent));
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  async #json(
    method: string,
    path: string,
    content: { readonly body: unknown; readonly contentType: string } | undefined,
  ): Promise<unknown> {
    const answer = await this.#send(method, path, { agent: this.#agent, content });
    const chunks: Buffer[] = [];
    for await (const chunk of answer) {
      chunks.push(chunk as Buffer);
    }
    const text = Buffer.concat(chunks).toString();
    if ((answer.statusCode ?? 0) >= STATUS_ERROR) {
      throw new Error(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 300)}`);
    }
    return JSON.parse(text) as unknown;
  }

  async #send(
    method: string,
    path: string,
    options: {
      readonly agent: Agent | false;
      readonly content?: { readonly body: unknown; readonly contentType: string } | undefined;
      readonly signal?: AbortSignal;
    },
  ): Promise<IncomingMessage> {
    const { agent, content, signal } = options;
    const { headers, tls } = this.#applied;
    const body = content === undefined ? undefined : Buffer.from(JSON.stringify(content.body));
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const call = request(
      `${this.#credentials.server}${path}`,
      {
        method,
        agent,
        ...(agent === false ? tls : {}),
        ...(signal === undefined ? {} : { signal }),
        headers: {
          accept: 'application/json',
          ...headers,
          ...(content === undefined ? {} : { 'content-type': content.contentType }),
          // Node says no length of a DELETE by itself.
          ...(body === undefined ? {} : { 'content-length': body.length }),
        },
      },
      resolve,
    );
    call.on('error', reject);
    call.end(body);
    return await promise;
  }
}

/** At most `width` at once. The first error ends it. */
export async function inParallel<T>(
  items: Iterable<T>,
  width: number,
  run: (item: T) => Promise<unknown>,
): Promise<void> {
  const left = items[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (let next = left.next(); next.done !== true; next = left.next()) {
      await run(next.value);
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
}
