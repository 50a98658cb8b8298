/**
 * Reads and writes of single objects, and the few other things that the API server is asked for.
 *
 * What follows a whole kind is a Reflector. Writes that several may make are server-side apply with
 * our field manager; a status is written with the version it was read at.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { KubeError } from './errors.ts';
import type { KubeHttp } from './http.ts';
import { portForward } from './port-forward.ts';
import {
  type GroupVersionResource,
  type KubeObject,
  type ObjectRef,
  pathOf,
  type ResourcePath,
} from './resources.ts';

const FIELD_MANAGER = 'ambit-controller';
const PAGE_SIZE = 500;
const LIST_OBJECTS_MAX = 20_000;

const PATCH_TYPES = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const;

export interface KubeClientOptions {
  readonly http: KubeHttp;
  /** Owner of applied fields. Default `ambit-controller`. */
  readonly fieldManager?: string;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface WriteOptions extends CallOptions {
  readonly subresource?: string;
  /** Checked by the server, nothing is stored. */
  readonly isDryRun?: boolean;
}

export interface ApplyOptions extends WriteOptions {
  /** Takes fields that another manager owns. Default false: then such a field is KUBE_CONFLICT. */
  readonly force?: boolean;
  readonly fieldManager?: string;
}

export interface PatchOptions extends WriteOptions {
  readonly type: keyof typeof PATCH_TYPES;
}

export interface DeleteOptions extends CallOptions {
  readonly propagation?: 'Background' | 'Foreground' | 'Orphan';
  /** Deletes only this incarnation. */
  readonly uid?: string;
  readonly resourceVersion?: string;
}

export interface ListOptions extends CallOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface LogOptions extends CallOptions {
  readonly container?: string;
  readonly follow?: boolean;
  readonly previous?: boolean;
  readonly tailLines?: number;
  readonly sinceSeconds?: number;
}

/** Every method throws KubeError. */
export class KubeClient {
  readonly http: KubeHttp;
  readonly #fieldManager: string;

  constructor({ http, fieldManager = FIELD_MANAGER }: KubeClientOptions) {
    this.http = http;
    this.#fieldManager = fieldManager;
  }

  async get(
    gvr: GroupVersionResource,
    ref: ObjectRef,
    options: CallOptions = {},
  ): Promise<KubeObject> {
    return toObject(
      await this.http.json({ method: 'GET', path: objectPath(gvr, ref), signal: options.signal }),
    );
  }

  /** Undefined instead of KUBE_NOT_FOUND. */
  async find(
    gvr: GroupVersionResource,
    ref: ObjectRef,
    options: CallOptions = {},
  ): Promise<KubeObject | undefined> {
    try {
      return await this.get(gvr, ref, options);
    } catch (error) {
      if (error instanceof KubeError && error.code === 'KUBE_NOT_FOUND') {
        return undefined;
      }
      throw error;
    }
  }

  /** All pages, whole objects. KUBE_TOO_LARGE beyond 20,000 objects: that is work for a Reflector. */
  async list(gvr: GroupVersionResource, options: ListOptions = {}): Promise<KubeObject[]> {
    const { namespace, labelSelector, fieldSelector, signal } = options;
    const objects: KubeObject[] = [];
    let next: string | undefined;
    do {
      const page = (await this.http.json({
        method: 'GET',
        path: pathOf(gvr, { namespace }),
        query: { limit: String(PAGE_SIZE), labelSelector, fieldSelector, continue: next },
        signal,
      })) as { metadata?: { continue?: string }; items?: unknown[] | null };
      objects.push(...(page.items ?? []).map(toObject));
      next = page.metadata?.continue || undefined;
      if (objects.length > LIST_OBJECTS_MAX) {
        const message = `more than ${LIST_OBJECTS_MAX} ${gvr.resource}`;
        throw new KubeError('KUBE_TOO_LARGE', message);
      }
    } while (next !== undefined);
    return objects;
  }

  /** The namespace and name are the object's; the name may be absent beside `generateName`. */
  async create(
    gvr: GroupVersionResource,
    object: CreatedObject,
    options: WriteOptions = {},
  ): Promise<KubeObject> {
    const { namespace } = object.metadata ?? {};
    return toObject(
      await this.http.json({
        method: 'POST',
        path: pathOf(gvr, { namespace }),
        query: { fieldManager: this.#fieldManager, ...dryRun(options) },
        body: object,
        signal: options.signal,
      }),
    );
  }

  /** Replaces the object; KUBE_CONFLICT if it carries a resourceVersion that is no longer the current one. */
  async update(
    gvr: GroupVersionResource,
    object: KubeObject,
    options: WriteOptions = {},
  ): Promise<KubeObject> {
    return toObject(
      await this.http.json({
        method: 'PUT',
        path: objectPath(gvr, object.metadata, options.subresource),
        query: { fieldManager: this.#fieldManager, ...dryRun(options) },
        body: object,
        signal: options.signal,
      }),
    );
  }

  async patch(
    gvr: GroupVersionResource,
    ref: ObjectRef,
    { patch, ...options }: PatchOptions & { readonly patch: unknown },
  ): Promise<KubeObject> {
    return toObject(
      await this.http.json({
        method: 'PATCH',
        path: objectPath(gvr, ref, options.subresource),
        query: { fieldManager: this.#fieldManager, ...dryRun(options) },
        contentType: PATCH_TYPES[options.type],
        body: patch,
        signal: options.signal,
      }),
    );
  }

  /** Server-side apply: the object says all fields that we own, and no others. Needs `apiVersion` and `kind`. */
  async apply(
    gvr: GroupVersionResource,
    object: KubeObject,
    options: ApplyOptions = {},
  ): Promise<KubeObject> {
    return toObject(
      await this.http.json({
        method: 'PATCH',
        path: objectPath(gvr, object.metadata, options.subresource),
        query: {
          fieldManager: options.fieldManager ?? this.#fieldManager,
          force: String(options.force ?? false),
          ...dryRun(options),
        },
        contentType: 'application/apply-patch+yaml',
        body: object,
        signal: options.signal,
      }),
    );
  }

  async delete(
    gvr: GroupVersionResource,
    ref: ObjectRef,
    { propagation = 'Background', uid, resourceVersion, signal }: DeleteOptions = {},
  ): Promise<void> {
    const preconditions = { uid, resourceVersion };
    await this.http.json({
      method: 'DELETE',
      path: objectPath(gvr, ref),
      body: {
        kind: 'DeleteOptions',
        apiVersion: 'v1',
        propagationPolicy: propagation,
        ...(uid === undefined && resourceVersion === undefined ? {} : { preconditions }),
      },
      signal,
    });
  }

  /** `POST …/NAME/SUBRESOURCE`, like `token` of a ServiceAccount. The answer is as the server gave it. */
  async createSubresource(
    gvr: GroupVersionResource,
    ref: ObjectRef & { readonly subresource: string },
    body: unknown,
    options: CallOptions = {},
  ): Promise<unknown> {
    const path = objectPath(gvr, ref, ref.subresource);
    return await this.http.json({ method: 'POST', path, body, signal: options.signal });
  }

  /** Kinds that are questions and are not stored: TokenReview, SubjectAccessReview. The answer is as the server gave it. */
  async review(
    gvr: GroupVersionResource,
    body: unknown,
    options: CallOptions & { readonly namespace?: string } = {},
  ): Promise<unknown> {
    const { namespace, signal } = options;
    return await this.http.json({ method: 'POST', path: pathOf(gvr, { namespace }), body, signal });
  }

  /** `GET` of any path: `/version`, `/openapi/v3`. */
  async raw(
    path: string,
    options: CallOptions & { readonly accept?: string } = {},
  ): Promise<unknown> {
    const { accept, signal } = options;
    return await this.http.json({
      method: 'GET',
      path,
      ...(accept === undefined ? {} : { accept }),
      signal,
    });
  }

  /** A connection to a port of a pod. It cannot be half closed. */
  async portForward(namespace: string, pod: string, port: number): Promise<Duplex> {
    return await portForward(this.http, { namespace, pod, port });
  }

  /** The log as it is written; the reader destroys it when it has enough. */
  async logs(ref: ObjectRef, options: LogOptions = {}): Promise<IncomingMessage> {
    const { container, follow, previous, tailLines, sinceSeconds, signal } = options;
    return await this.http.open({
      method: 'GET',
      path: objectPath({ group: '', version: 'v1', resource: 'pods' }, ref, 'log'),
      accept: '*/*',
      query: {
        container,
        follow: follow === true ? 'true' : undefined,
        previous: previous === true ? 'true' : undefined,
        tailLines: tailLines?.toString(),
        sinceSeconds: sinceSeconds?.toString(),
      },
      signal,
    });
  }
}

/** What `create` takes: a name, or a `generateName`. */
export interface CreatedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata?: Partial<KubeObject['metadata']>;
  readonly [field: string]: unknown;
}

function objectPath(gvr: GroupVersionResource, ref: ObjectRef, subresource?: string): string {
  const parts: ResourcePath = { namespace: ref.namespace, name: ref.name, subresource };
  return pathOf(gvr, parts);
}

function dryRun({ isDryRun }: WriteOptions): { readonly dryRun?: string } {
  return isDryRun === true ? { dryRun: 'All' } : {};
}

function toObject(value: unknown): KubeObject {
  const metadata = (value as { metadata?: unknown } | null)?.metadata;
  if (typeof metadata !== 'object' || metadata === null) {
    throw new KubeError('KUBE_PROTOCOL', 'the answer is no object with metadata');
  }
  return value as KubeObject;
}
