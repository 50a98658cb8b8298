/**
 * The admin server: small HTTP on loopback or a unix socket, for operators and `meshctl`.
 *
 * It never listens on an address that another host can reach (metrics and readiness are separate
 * listeners that may). Bodies are bounded, a handler that throws answers 500 with a code and no stack.
 */
import { rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { describeError, type Logger } from './log.ts';

const BODY_BYTES_MAX = 1_048_576;
const REQUEST_TIMEOUT_MS = 30_000;

export interface AdminRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: string;
  readonly accept: string;
}

export interface AdminResponse {
  readonly status?: number;
  readonly contentType?: string;
  readonly body: string | Uint8Array;
}

export interface AdminRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Exact, or a prefix when it ends in `/*`. */
  readonly path: string;
  /** Shown on the index page. */
  readonly summary: string;
  handle(request: AdminRequest): AdminResponse | Promise<AdminResponse>;
}

export type ListenAddress =
  | { readonly host: string; readonly port: number }
  | { readonly socketPath: string };

export const jsonResponse = (value: unknown, status = 200): AdminResponse => ({
  status,
  contentType: 'application/json',
  body: `${JSON.stringify(value, null, 2)}\n`,
});

export const textResponse = (body: string, status = 200): AdminResponse => ({
  status,
  contentType: 'text/plain; charset=utf-8',
  body,
});

export interface AdminServerOptions {
  readonly title: string;
  readonly routes: readonly AdminRoute[];
  readonly log: Logger;
}

export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #servers: Server[] = [];

  constructor(options: AdminServerOptions) {
    this.#options = options;
  }

  /** Resolves when listening; a stale unix socket file is replaced. */
  async listen(address: ListenAddress): Promise<AddressInfo | string | null> {
    const server = createServer(
      { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
      (request, response) => void this.#serve(request, response),
    );
    if ('socketPath' in address) {
      rmSync(address.socketPath, { force: true });
    }
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen('socketPath' in address ? { path: address.socketPath } : address, () => {
        server.off('error', reject);
        resolve();
      });
    });
    this.#servers.push(server);
    return server.address();
  }

  async stop(): Promise<void> {
    const servers = this.#servers.splice(0);
    await Promise.all(
      servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      ),
    );
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let answer: AdminResponse;
    try {
      answer = await this.#answer(request);
    } catch (error) {
      this.#options.log.error('admin request failed', { path: request.url, error });
      answer = textResponse(`internal error: ${describeError(error)}\n`, 500);
    }
    response.writeHead(answer.status ?? 200, {
      'content-type': answer.contentType ?? 'text/plain; charset=utf-8',
      'content-length': Buffer.byteLength(answer.body),
    });
    response.end(answer.body);
  }

  async #answer(request: IncomingMessage): Promise<AdminResponse> {
    const url = new URL(request.url ?? '/', 'http://admin.invalid');
    if (url.pathname === '/') {
      return this.#index();
    }
    const candidates = this.#options.routes.filter((route) => matches(route.path, url.pathname));
    if (candidates.length === 0) {
      return textResponse(`no such page: ${url.pathname.slice(0, 200)}\n`, 404);
    }
    const route = candidates.find((candidate) => candidate.method === request.method);
    if (route === undefined) {
      const allowed = candidates.map((candidate) => candidate.method).join(', ');
      return textResponse(`method ${request.method ?? ''} is not allowed, want ${allowed}\n`, 405);
    }
    const body = await readBody(request);
    if (body === undefined) {
      return textResponse(`body is larger than ${BODY_BYTES_MAX} bytes\n`, 413);
    }
    return await route.handle({
      method: route.method,
      path: url.pathname,
      query: url.searchParams,
      body,
      accept: request.headers.accept ?? '',
    });
  }

  #index(): AdminResponse {
    const rows = this.#options.routes.map((route) => {
      const path = route.path.replace(/^\//, '').replace(/\*$/, '');
      return `<tr><td>${route.method}</td><td><a href="${path}">/${path}</a></td><td>${route.summary}</td></tr>`;
    });
    return {
      contentType: 'text/html; charset=utf-8',
      body: `<!DOCTYPE html><html lang="en"><head><title>${this.#options.title}</title></head><body><table>${rows.join('\n')}</table></body></html>\n`,
    };
  }
}

function matches(pattern: string, path: string): boolean {
  return pattern.endsWith('/*') ? path.startsWith(pattern.slice(0, -1)) : pattern === path;
}

/** Undefined: over the bound. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX) {
      return undefined;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
