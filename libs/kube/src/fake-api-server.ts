/**
 * An API server for tests that says what the test wants: half lists, torn chunks, 410, silence.
 *
 * It keeps objects of any kind in memory, pages them, counts versions and watches. What a test needs to
 * go wrong it puts into `intercept`. Conversions, admission and validation are the real server's.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KubeCredentials } from './credentials.ts';
import type { KubeObject } from './resources.ts';

export interface FakeKind {
  readonly group: string;
  readonly versions: readonly string[];
  readonly resource: string;
  readonly kind: string;
}

export interface FakeRequest {
  readonly method: string;
  readonly url: URL;
  readonly isWatch: boolean;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Answers itself and returns true, or leaves it to the server. */
export type Intercept = (request: FakeRequest, response: ServerResponse) => boolean;

interface Watch {
  readonly resource: string;
  readonly response: ServerResponse;
}

export class FakeApiServer implements AsyncDisposable {
  readonly requests: FakeRequest[] = [];
  intercept: Intercept = () => false;
  #kinds: readonly FakeKind[];
  #version = 100;
  /** `resource` → `namespace/name` → object. */
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #log: { readonly version: number; readonly resource: string; readonly line: string }[] =
    [];
  readonly #watches = new Set<Watch>();
  readonly #server: Server;

  constructor(kinds: readonly FakeKind[]) {
    this.#kinds = kinds;
    this.#server = createServer((request, response) => {
      void this.#serve(request, response);
    });
  }

  async start(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.listen(0, '127.0.0.1', resolve);
    await promise;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get credentials(): KubeCredentials {
    const applied = { headers: { authorization: 'Bearer fake' }, tls: {} };
    return {
      server: this.url,
      namespace: 'default',
      apply: () => Promise.resolve(applied),
      invalidate: () => undefined,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeAllConnections();
    await promise;
  }

  setKinds(kinds: readonly FakeKind[]): void {
    this.#kinds = kinds;
  }

  get version(): string {
    return String(this.#version);
  }

  get watchCount(): number {
    return this.#watches.size;
  }

  /** Makes or changes an object and tells the watches. */
  put(resource: string, object: KubeObject): KubeObject {
    this.#version += 1;
    const objects = this.#of(resource);
    const key = keyOfFake(object.metadata);
    const old = objects.get(key);
    const stored = {
      ...object,
      metadata: {
        ...object.metadata,
        uid: old?.metadata.uid ?? `uid-${this.#version}`,
        resourceVersion: this.version,
      },
    };
    objects.set(key, stored);
    this.#tell(resource, { type: old === undefined ? 'ADDED' : 'MODIFIED', object: stored });
    return stored;
  }

  delete(resource: string, key: string): void {
    const object = this.#of(resource).get(key);
    if (object !== undefined) {
      this.#version += 1;
      this.#of(resource).delete(key);
      const metadata = { ...object.metadata, resourceVersion: this.version };
      this.#tell(resource, { type: 'DELETED', object: { ...object, metadata } });
    }
  }

  /** Changes without telling any watch, as while a watch was away too long. */
  deleteSilently(resource: string, key: string): void {
    this.#version += 1;
    this.#of(resource).delete(key);
  }

  /** Other content under the uid and version that are known, as after a restore from a backup. Tells no watch. */
  restore(resource: string, object: KubeObject): void {
    const key = keyOfFake(object.metadata);
    const { uid, resourceVersion } = this.#of(resource).get(key)?.metadata ?? {};
    const metadata = { ...object.metadata, uid, resourceVersion } as KubeObject['metadata'];
    this.#of(resource).set(key, { ...object, metadata });
  }

  get(resource: string, key: string): KubeObject | undefined {
    return this.#of(resource).get(key);
  }

  bookmark(resource: string): void {
    const object = { kind: 'Bookmark', metadata: { resourceVersion: this.version } };
    this.send(resource, `${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
  }

  /** Bytes to every watch of the resource, as they are. */
  send(resource: string, bytes: string | Buffer): void {
    for (const watch of this.#watches) {
      if (watch.resource === resource) {
        watch.response.write(bytes);
      }
    }
  }

  /** Ends every watch of the resource: as a server's timeout does, or as a cut cable. */
  endWatches(resource: string, how: 'close' | 'reset'): void {
    for (const watch of [...this.#watches].filter((w) => w.resource === resource)) {
      this.#watches.delete(watch);
      if (how === 'close') {
        watch.response.end();
      } else {
        watch.response.destroy();
      }
    }
  }

  #of(resource: string): Map<string, KubeObject> {
    const objects = this.#objects.get(resource) ?? new Map<string, KubeObject>();
    this.#objects.set(resource, objects);
    return objects;
  }

  #tell(resource: string, event: object): void {
    const line = `${JSON.stringify(event)}\n`;
    this.#log.push({ version: this.#version, resource, line });
    this.send(resource, line);
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) {
      chunks.push(chunk as Buffer);
    }
    const url = new URL(incoming.url ?? '/', this.url);
    const request: FakeRequest = {
      method: incoming.method ?? 'GET',
      url,
      isWatch: url.searchParams.get('watch') === '1',
      headers: incoming.headers,
      body: Buffer.concat(chunks).toString(),
    };
    this.requests.push(request);
    if (this.intercept(request, response)) {
      return;
    }
    if (url.pathname === '/api' || url.pathname === '/apis') {
      answer(response, 200, this.#discovery(url.pathname === '/api'));
      return;
    }
    this.#object(request, response);
  }

  #discovery(isCore: boolean): object {
    const groups = [...new Set(this.#kinds.map((kind) => kind.group))];
    const items = groups
      .filter((group) => (group === '') === isCore)
      .map((group) => {
        const kinds = this.#kinds.filter((kind) => kind.group === group);
        const versions = [...new Set(kinds.flatMap((kind) => kind.versions))].map((version) => ({
          version,
          freshness: 'Current',
          resources: kinds
            .filter((kind) => kind.versions.includes(version))
            .map(({ resource, kind }) => ({
              resource,
              responseKind: { group, version, kind },
              scope: 'Namespaced',
              verbs: ['get', 'list', 'watch'],
            })),
        }));
        return { metadata: { name: group }, versions };
      });
    return { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', items };
  }

  #object(request: FakeRequest, response: ServerResponse): void {
    const path = parsePath(request.url.pathname);
    const isServed = this.#kinds.some(
      (kind) =>
        kind.group === path.group &&
        kind.resource === path.resource &&
        kind.versions.includes(path.version),
    );
    if (!isServed) {
      fail(response, 404, 'NotFound');
    } else if (path.name !== undefined) {
      this.#single(request, path.resource, { response, path });
    } else if (request.method === 'POST') {
      this.#create(request, path.resource, response);
    } else if (request.isWatch) {
      this.#watch(request, path.resource, response);
    } else {
      this.#list(request, path.resource, response);
    }
  }

  #single(
    request: FakeRequest,
    resource: string,
    { response, path }: { readonly response: ServerResponse; readonly path: FakePath },
  ): void {
    const key = keyOfFake({ namespace: path.namespace, name: path.name ?? '' });
    const old = this.#of(resource).get(key);
    if (old === undefined) {
      fail(response, 404, 'NotFound');
    } else if (request.method === 'GET') {
      answer(response, 200, old);
    } else if (request.method === 'DELETE') {
      this.delete(resource, key);
      answer(response, 200, old);
    } else {
      const object = JSON.parse(request.body) as KubeObject;
      const { resourceVersion } = object.metadata;
      if (resourceVersion !== undefined && resourceVersion !== old.metadata.resourceVersion) {
        fail(response, 409, 'Conflict');
        return;
      }
      answer(response, 200, this.put(resource, { ...old, ...object }));
    }
  }

  #create(request: FakeRequest, resource: string, response: ServerResponse): void {
    const object = JSON.parse(request.body) as KubeObject;
    if (this.#of(resource).has(keyOfFake(object.metadata))) {
      fail(response, 409, 'AlreadyExists');
    } else {
      answer(response, 201, this.put(resource, object));
    }
  }

  #list({ url }: FakeRequest, resource: string, response: ServerResponse): void {
    const all = [...this.#of(resource).values()];
    const start = Number(url.searchParams.get('continue') ?? 0);
    const limit = Number(url.searchParams.get('limit') ?? all.length);
    const items = all.slice(start, start + limit);
    const next = start + limit < all.length ? String(start + limit) : undefined;
    const metadata = { resourceVersion: this.version, continue: next };
    answer(response, 200, { kind: 'List', apiVersion: 'v1', metadata, items });
  }

  #watch({ url }: FakeRequest, resource: string, response: ServerResponse): void {
    const since = Number(url.searchParams.get('resourceVersion') ?? 0);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const watch = { resource, response };
    this.#watches.add(watch);
    response.on('close', () => this.#watches.delete(watch));
    for (const { version, line } of this.#log.filter((entry) => entry.resource === resource)) {
      if (version > since) {
        response.write(line);
      }
    }
  }
}

/** A JSON answer. */
export function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** A `Status` as the API server answers errors. */
export function fail(
  response: ServerResponse,
  code: number,
  reason: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers });
  response.end(
    JSON.stringify({ kind: 'Status', status: 'Failure', code, reason, message: reason }),
  );
}

interface FakePath {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

function parsePath(pathname: string): FakePath {
  const parts = pathname.split('/').slice(1);
  const isCore = parts.shift() === 'api';
  const group = isCore ? '' : (parts.shift() ?? '');
  const version = parts.shift() ?? '';
  const namespace = parts[0] === 'namespaces' && parts.length > 2 ? parts[1] : undefined;
  const [resource = '', name] = namespace === undefined ? parts : parts.slice(2);
  return { group, version, resource, namespace, name };
}

function keyOfFake({ namespace, name }: { namespace?: string | undefined; name: string }): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}
