/**
 * One HTTP request at a time to the API server, over kept connections.
 *
 * client-node's generated calls read whole bodies and keep every field, so lists and watches are read
 * here as streams. Answers outside of 2xx become KubeErrors; a 401 renews the credentials once and a
 * 429 is obeyed a few times before it is the caller's.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { type AgentOptions, Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Clock } from '@ambit/core';
import type { AppliedCredentials, KubeCredentials } from './credentials.ts';
import { Deadline } from './deadline.ts';
import { errorFromAnswer, isKubeError, KubeError } from './errors.ts';

const ANSWER_MS_MAX = 30_000;
const ERROR_BYTES_MAX = 64 * 1024;
const BODY_BYTES_MAX = 32 * 1024 * 1024;
const ATTEMPTS_MAX = 4;
/** A longer wait is the caller's: it may have something better to do. */
const RETRY_AFTER_MS_MAX = 10_000;
const KEEP_ALIVE_MS = 30_000;
const IDLE_SOCKETS_MAX = 4;

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Begins with a slash, encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly accept?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Of the body; default `application/json`. */
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface ConditionalAnswer {
  readonly status: number;
  readonly etag: string | undefined;
  readonly body: unknown;
}

export interface KubeHttpOptions {
  readonly credentials: KubeCredentials;
  readonly clock: Clock;
  /** Default `ambit`. */
  readonly userAgent?: string;
  /** Until the answer's head is there. Default 30 s. */
  readonly answerMsMax?: number;
}

export class KubeHttp {
  readonly credentials: KubeCredentials;
  readonly #options: KubeHttpOptions;
  #agent: HttpAgent | HttpsAgent | undefined;
  #agentTls: AgentOptions | undefined;

  constructor(options: KubeHttpOptions) {
    this.credentials = options.credentials;
    this.#options = options;
  }

  /** The answer of a 2xx (or 304), its body not read: the caller reads it to its end or destroys it. Throws KubeError. */
  async open(request: KubeRequest): Promise<IncomingMessage> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#attempt(request);
      } catch (error) {
        const waitMs = this.#waitBefore(error, request, attempt);
        if (waitMs === undefined) {
          throw error;
        }
        await this.#options.clock.sleep(waitMs, request.signal);
      }
    }
  }

  /** The body as JSON. Throws KubeError, KUBE_TOO_LARGE beyond 32 MiB. */
  async json(request: KubeRequest): Promise<unknown> {
    const response = await this.open(request);
    return parseJson(await this.#read(response, request), describe(request));
  }

  /** The body as text, under the same limits as `json`. */
  async text(request: KubeRequest): Promise<string> {
    const response = await this.open(request);
    return await this.#read(response, request);
  }

  /** As `json`, with the status and the ETag; a 304 has no body. */
  async conditional(request: KubeRequest): Promise<ConditionalAnswer> {
    const response = await this.open(request);
    const { statusCode: status = 0, headers } = response;
    const text = await this.#read(response, request);
    const body = status === 304 ? undefined : parseJson(text, describe(request));
    return { status, etag: headers.etag, body };
  }

  /** Closes kept connections. */
  close(): void {
    this.#agent?.destroy();
    this.#agent = undefined;
    this.#agentTls = undefined;
  }

  async #read(response: IncomingMessage, request: KubeRequest): Promise<string> {
    const { clock, answerMsMax = ANSWER_MS_MAX } = this.#options;
    const what = describe(request);
    using deadline = new Deadline(clock, answerMsMax, what, request.signal);
    return await readText(response, { bytesMax: BODY_BYTES_MAX, what, signal: deadline.signal });
  }

  /** Milliseconds to wait before another try, or undefined if this error is final. */
  #waitBefore(
    error: unknown,
    { method, signal }: KubeRequest,
    attempt: number,
  ): number | undefined {
    if (!isKubeError(error) || attempt >= ATTEMPTS_MAX || signal?.aborted === true) {
      return undefined;
    }
    if (error.status === 401 && attempt === 1) {
      this.credentials.invalidate();
      return 0;
    }
    if (error.code === 'KUBE_CONNECTION_FAILED' && error.reason === 'reused' && method === 'GET') {
      return 0;
    }
    const isAsked = error.status === 429 || (error.status === 503 && method === 'GET');
    const waitMs = error.retryAfterMs;
    return isAsked && waitMs !== undefined && waitMs <= RETRY_AFTER_MS_MAX ? waitMs : undefined;
  }

  async #attempt(request: KubeRequest): Promise<IncomingMessage> {
    const { clock, answerMsMax = ANSWER_MS_MAX } = this.#options;
    const what = describe(request);
    using deadline = new Deadline(clock, answerMsMax, what, request.signal);
    const applied = await this.credentials.apply();
    const response = await this.#send(request, applied, deadline.signal);
    const status = response.statusCode ?? 0;
    if ((status >= 200 && status < 300) || status === 304) {
      return response;
    }
    const body = await readText(response, {
      bytesMax: ERROR_BYTES_MAX,
      what,
      signal: deadline.signal,
    });
    const retryAfter = response.headers['retry-after'];
    throw errorFromAnswer({ status, body, retryAfter, what, isRead: request.method === 'GET' });
  }

  async #send(
    request: KubeRequest,
    applied: AppliedCredentials,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const url = new URL(`${this.credentials.server}${request.path}`);
    for (const [name, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) {
        url.searchParams.set(name, value);
      }
    }
    const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
    const headers = {
      accept: request.accept ?? 'application/json',
      'user-agent': this.#options.userAgent ?? 'ambit',
      ...(body === undefined
        ? {}
        : {
            'content-type': request.contentType ?? 'application/json',
            'content-length': body.length,
          }),
      ...applied.headers,
      ...request.headers,
    };
    const send = url.protocol === 'http:' ? httpRequest : httpsRequest;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const outgoing = send(url, { method: request.method, headers, agent: this.#agentFor(applied) });
    const abort = (): void => void outgoing.destroy(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    outgoing.on('response', resolve);
    outgoing.on('error', (error: Error) => {
      reject(
        signal.aborted ? signal.reason : connectionError(error, request, outgoing.reusedSocket),
      );
    });
    outgoing.end(body);
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #agentFor({ tls, agent }: AppliedCredentials): HttpAgent | HttpsAgent {
    if (agent !== undefined) {
      return agent;
    }
    if (this.#agent === undefined || this.#agentTls !== tls) {
      // Other certificates: what waits on the old ones is closed, what works on them may end.
      closeIdle(this.#agent);
      const keep = {
        keepAlive: true,
        keepAliveMsecs: KEEP_ALIVE_MS,
        maxFreeSockets: IDLE_SOCKETS_MAX,
      };
      const isPlain = this.credentials.server.startsWith('http:');
      this.#agent = isPlain ? new HttpAgent(keep) : new HttpsAgent({ ...keep, ...tls });
      this.#agentTls = tls;
    }
    return this.#agent;
  }
}

function closeIdle(agent: HttpAgent | HttpsAgent | undefined): void {
  for (const sockets of Object.values(agent?.freeSockets ?? {})) {
    for (const socket of sockets ?? []) {
      socket.destroy();
    }
  }
}

export interface ReadOptions {
  readonly bytesMax: number;
  readonly what: string;
  readonly signal: AbortSignal;
}

/** The body as text. Throws KUBE_TOO_LARGE, KUBE_CONNECTION_FAILED, or the signal's reason. */
async function readText(
  response: IncomingMessage,
  { bytesMax, what, signal }: ReadOptions,
): Promise<string> {
  const abort = (): void => void response.destroy(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response) {
      length += (chunk as Buffer).length;
      if (length > bytesMax) {
        throw new KubeError(
          'KUBE_TOO_LARGE',
          `${what}: the answer is longer than ${bytesMax} bytes`,
        );
      }
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : streamError(error, what);
  } finally {
    signal.removeEventListener('abort', abort);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** What a broken body is: KubeErrors stay, everything else is KUBE_CONNECTION_FAILED. */
export function streamError(error: unknown, what: string): KubeError {
  if (error instanceof KubeError) {
    return error;
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new KubeError('KUBE_CONNECTION_FAILED', `${what}: the answer broke off: ${reason}`, {
    cause: error,
    retryable: true,
  });
}

function connectionError(error: Error, request: KubeRequest, isReused: boolean): KubeError {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const neverSent = code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'EAI_AGAIN';
  return new KubeError('KUBE_CONNECTION_FAILED', `${describe(request)}: ${error.message}`, {
    cause: error,
    reason: isReused && (code === 'ECONNRESET' || code === 'EPIPE') ? 'reused' : code,
    retryable: neverSent || request.method === 'GET',
  });
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new KubeError('KUBE_PROTOCOL', `${what}: the answer is not JSON`, { cause: error });
  }
}

function describe({ method, path }: KubeRequest): string {
  return `${method} ${path}`;
}
