/** What a client knows of one type: what it holds, what it asked for, how the last response went. */
import { create } from '@bufbuild/protobuf';

import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  type Node,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { type Status, StatusSchema } from '../gen/google/rpc/status_pb.ts';
import type { RawResource, Rejection, Subscription } from './subscription.ts';

/** The server logs it; it is no place for a megabyte. */
const ERROR_DETAIL_LENGTH_MAX = 8 * 1024;

const NO_BYTES = new Uint8Array();

export interface TypeStatus {
  readonly typeUrl: string;
  /** `WAITING` until the first response of this process. */
  readonly state: 'WAITING' | 'ACKED' | 'NACKED';
  readonly nonce: string;
  readonly resources: number;
  readonly lastResponseAtMs: number | undefined;
  /** Of the last response. */
  readonly rejections: readonly Rejection[];
}

export class TypeRecord {
  readonly subscription: Subscription;
  /** Name to version, as last applied. */
  readonly held = new Map<string, string>();
  /** Refused, and something may stand in for them. */
  readonly #refused = new Set<string>();
  names: ReadonlySet<string> = new Set();
  isSynced = false;
  #state: TypeStatus['state'] = 'WAITING';
  #nonce = '';
  #lastResponseAtMs: number | undefined;
  #rejections: readonly Rejection[] = [];

  constructor(subscription: Subscription) {
    this.subscription = subscription;
  }

  status(): TypeStatus {
    return {
      typeUrl: this.subscription.typeUrl,
      state: this.#state,
      nonce: this.#nonce,
      resources: this.held.size,
      lastResponseAtMs: this.#lastResponseAtMs,
      rejections: this.#rejections,
    };
  }

  /** The first request of a stream. By names with none, it says "nothing": an empty list is everything. */
  firstRequest(node: Node): DeltaDiscoveryRequest {
    const { typeUrl, mode } = this.subscription;
    const isNothing = mode === 'names' && this.names.size === 0;
    return create(DeltaDiscoveryRequestSchema, {
      node,
      typeUrl,
      // With no version, what was refused is sent again, or its removal is.
      initialResourceVersions: Object.fromEntries([
        ...[...this.#refused].map((name) => [name, ''] as const),
        ...this.held,
      ]),
      resourceNamesSubscribe: isNothing ? ['*'] : [...this.names],
      resourceNamesUnsubscribe: isNothing ? ['*'] : [],
    });
  }

  /** Undefined when nothing changed. */
  changeNames(names: ReadonlySet<string>): DeltaDiscoveryRequest | undefined {
    const added = [...names].filter((name) => !this.names.has(name));
    const gone = [...this.names].filter((name) => !names.has(name));
    this.names = new Set(names);
    for (const name of gone) {
      this.held.delete(name);
      this.#refused.delete(name);
    }
    if (added.length + gone.length === 0) {
      return undefined;
    }
    return create(DeltaDiscoveryRequestSchema, {
      typeUrl: this.subscription.typeUrl,
      resourceNamesSubscribe: added,
      resourceNamesUnsubscribe: gone,
    });
  }

  /** Applies a response and makes the ACK or NACK. */
  async apply(response: DeltaDiscoveryResponse, nowMs: number): Promise<DeltaDiscoveryRequest> {
    const { typeUrl } = this.subscription;
    const { changed, foreign, rejections } = split(response);
    const removed = response.removedResources;
    const rejected = [...rejections];
    try {
      rejected.push(...(await this.subscription.apply({ changed, foreign, removed })));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      rejected.push(...changed.map(({ name }) => ({ name, reason })));
      // Removals alone have no names to refuse by, and must not look applied.
      if (changed.length === 0) {
        rejected.push(...removed.map((name) => ({ name, reason })));
      }
    }
    this.#record([...changed, ...foreign], removed, rejected);
    this.#nonce = response.nonce;
    this.#lastResponseAtMs = nowMs;
    return create(DeltaDiscoveryRequestSchema, {
      typeUrl,
      responseNonce: response.nonce,
      ...(rejected.length === 0 ? {} : { errorDetail: errorDetail(rejected) }),
    });
  }

  /**
   * A refused resource keeps the version it had, if any, and none where something stands in for it: a
   * reconnect then asks for it again, and still hears of its removal.
   */
  #record(
    changed: readonly RawResource[],
    removed: readonly string[],
    rejections: readonly Rejection[],
  ): void {
    const rejected = new Set(rejections.map(({ name }) => name));
    for (const { name, version } of changed) {
      if (!rejected.has(name)) {
        this.held.set(name, version);
        this.#refused.delete(name);
      } else if (this.subscription.claimsRejected === true) {
        // What stands in is no version of it: the one that was held must be sent again, should it come back.
        this.held.delete(name);
        this.#refused.add(name);
      }
    }
    for (const name of removed) {
      if (!rejected.has(name)) {
        this.held.delete(name);
        this.#refused.delete(name);
      }
    }
    this.#rejections = rejections;
    this.#state = rejections.length === 0 ? 'ACKED' : 'NACKED';
    const isAllRejected = changed.length > 0 && changed.every(({ name }) => rejected.has(name));
    this.isSynced ||= !isAllRejected && (rejections.length === 0 || changed.length > 0);
  }
}

/** Resources of the right type, and rejections of the others. */
function split(response: DeltaDiscoveryResponse): {
  readonly changed: readonly RawResource[];
  readonly foreign: readonly RawResource[];
  readonly rejections: readonly Rejection[];
} {
  const changed: RawResource[] = [];
  const foreign: RawResource[] = [];
  const rejections: Rejection[] = [];
  for (const { name, version, resource } of response.resources) {
    if (resource?.typeUrl === response.typeUrl) {
      changed.push({ name, version, value: resource.value });
    } else {
      foreign.push({ name, version, value: NO_BYTES });
      rejections.push({ name, reason: `its content is ${resource?.typeUrl ?? 'missing'}` });
    }
  }
  return { changed, foreign, rejections };
}

function errorDetail(rejections: readonly Rejection[]): Status {
  const message = rejections.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
  const isLong = message.length > ERROR_DETAIL_LENGTH_MAX;
  return create(StatusSchema, {
    message: isLong ? `${message.slice(0, ERROR_DETAIL_LENGTH_MAX)}…` : message,
  });
}
