/**
 * One delta stream, server side: requests in, responses out, no transport and no clock of its own.
 *
 * Order is the point of it. Policy is sent before the workloads that name it, and taken away, or
 * narrowed to those that name it, after them: a later step waits while an earlier one can not be sent.
 */
import type { TokenCaller } from '@ambit/identity';
import { create } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';

import { XdsError } from '../errors.ts';
import {
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  ResourceSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { authorizeNode, type XdsNode } from '../node.ts';
import type { ResourceChange, ResourceSource } from '../resource.ts';
import { TYPE_URL } from '../type-urls.ts';
import { nackReasons } from './nack-reasons.ts';
import { type Collected, TypeState } from './type-state.ts';

/** Types before all others, in this order: policy, an agent's or a waypoint's, before what names it. Others follow as subscribed. */
const ORDER: readonly string[] = [
  TYPE_URL.enrolment,
  TYPE_URL.pod,
  TYPE_URL.authorization,
  TYPE_URL.object,
  TYPE_URL.address,
];
/** What addresses name. */
const NAMED: ReadonlySet<string> = new Set([TYPE_URL.authorization, TYPE_URL.object]);

export interface StreamLimits {
  readonly typesMax: number;
  /** Names asked for by one stream, over all types. */
  readonly namesMax: number;
  /** Content of one response; what is over waits for its ACK. */
  readonly responseBytesMax: number;
}

export type StreamEvent =
  | {
      readonly kind: 'sent';
      readonly typeUrl: string;
      readonly sequence: number;
      readonly resources: number;
      readonly removed: number;
    }
  | { readonly kind: 'acknowledged'; readonly typeUrl: string; readonly sequence: number }
  | {
      readonly kind: 'refused';
      readonly typeUrl: string;
      readonly sequence: number;
      readonly message: string;
    }
  | { readonly kind: 'subscribed'; readonly typeUrl: string };

export interface DeltaStreamOptions {
  readonly id: number;
  readonly caller: TokenCaller;
  readonly source: ResourceSource;
  readonly limits: StreamLimits;
  /** Types that are subscribed to and never answered. */
  readonly silentTypeUrls: ReadonlySet<string>;
  readonly nextSequence: () => number;
  readonly send: (response: DeltaDiscoveryResponse) => void;
  readonly onEvent: (event: StreamEvent) => void;
  /** Something may be sent: call `flush` soon. */
  readonly onWork: (typeUrl: string) => void;
}

export class DeltaStream {
  readonly id: number;
  readonly caller: TokenCaller;
  readonly #options: DeltaStreamOptions;
  readonly #types = new Map<string, TypeState>();
  #node: XdsNode | undefined;

  constructor(options: DeltaStreamOptions) {
    this.id = options.id;
    this.caller = options.caller;
    this.#options = options;
  }

  /** Undefined before the first request. */
  get node(): XdsNode | undefined {
    return this.#node;
  }

  get types(): ReadonlyMap<string, TypeState> {
    return this.#types;
  }

  /** Throws an XdsError that ends the stream. */
  receive(request: DeltaDiscoveryRequest): void {
    this.#node ??= authorizeNode(request.node, this.caller);
    const known = this.#types.get(request.typeUrl);
    const state = known ?? this.#begin(request);
    if (known !== undefined && request.responseNonce !== '') {
      this.#answered(state, request);
    }
    const { resourceNamesSubscribe, resourceNamesUnsubscribe } = request;
    if (known === undefined && resourceNamesSubscribe.length === 0) {
      state.isWildcard = true;
    }
    if (resourceNamesSubscribe.length + resourceNamesUnsubscribe.length > 0) {
      state.subscribe(resourceNamesSubscribe);
      state.unsubscribe(resourceNamesUnsubscribe);
      this.#checkNames();
    }
    const isChanged =
      known === undefined || resourceNamesSubscribe.length + resourceNamesUnsubscribe.length > 0;
    if (isChanged) {
      this.#options.onEvent({ kind: 'subscribed', typeUrl: state.typeUrl });
    }
    this.#options.onWork(state.typeUrl);
  }

  /** Marks what changed; true if this stream may have something to send. */
  mark({ typeUrl, names }: ResourceChange): boolean {
    const state = this.#types.get(typeUrl);
    if (state === undefined || this.#options.silentTypeUrls.has(typeUrl)) {
      return false;
    }
    state.mark(names);
    return true;
  }

  /** Sends what can be sent now. */
  flush(): void {
    const node = this.#node;
    if (node === undefined) {
      return;
    }
    const states = this.#ordered();
    for (const state of states) {
      if (!state.hasWork) {
        continue;
      }
      if (state.inFlight !== undefined) {
        return;
      }
      this.#send(state, node);
      // The rest of a response that was too large goes before anything that builds on it.
      if (state.hasWork) {
        return;
      }
    }
    for (const state of states.toReversed()) {
      if (state.hasKept && state.inFlight === undefined) {
        const all = this.#options.source.resources(state.typeUrl, node);
        const bytesMax = this.#options.limits.responseBytesMax;
        this.#respond(state, state.takeKept(all, { bytesMax }));
      }
    }
  }

  #begin(request: DeltaDiscoveryRequest): TypeState {
    const { limits, silentTypeUrls } = this.#options;
    if (this.#types.size >= limits.typesMax) {
      throw new XdsError('XDS_LIMIT', `more than ${limits.typesMax} types on one stream`, {
        side: 'downstream',
      });
    }
    const isSilent = silentTypeUrls.has(request.typeUrl);
    const state = new TypeState(request.typeUrl, { isSilent });
    for (const [name, version] of Object.entries(request.initialResourceVersions)) {
      state.sent.set(name, version);
      state.acked.set(name, version);
    }
    if (!isSilent) {
      state.owesAnswer = true;
      state.mark('all');
    }
    this.#types.set(request.typeUrl, state);
    return state;
  }

  /** A nonce that is not of the response in flight is stale; only that part of the request is ignored. */
  #answered(state: TypeState, request: DeltaDiscoveryRequest): void {
    const { inFlight } = state;
    if (inFlight?.nonce !== request.responseNonce) {
      return;
    }
    const { typeUrl } = state;
    const { sequence } = inFlight;
    const message = request.errorDetail?.message;
    if (message === undefined) {
      state.settle(inFlight, () => undefined);
      this.#options.onEvent({ kind: 'acknowledged', typeUrl, sequence });
    } else {
      const reasons = nackReasons(message, [...inFlight.resources.keys()]);
      state.settle(inFlight, (name) => reasons.get(name));
      this.#options.onEvent({ kind: 'refused', typeUrl, sequence, message });
    }
  }

  #checkNames(): void {
    const { namesMax } = this.#options.limits;
    let count = 0;
    for (const state of this.#types.values()) {
      count += state.names.size;
    }
    if (count > namesMax) {
      throw new XdsError('XDS_LIMIT', `more than ${namesMax} subscribed names on one stream`, {
        side: 'downstream',
      });
    }
  }

  #ordered(): TypeState[] {
    const rank = ({ typeUrl }: TypeState): number => {
      const at = ORDER.indexOf(typeUrl);
      return at === -1 ? ORDER.length : at;
    };
    return [...this.#types.values()]
      .filter(({ typeUrl }) => !this.#options.silentTypeUrls.has(typeUrl))
      .sort((a, b) => rank(a) - rank(b));
  }

  #send(state: TypeState, node: XdsNode): void {
    const isOwed = state.owesAnswer;
    const all = this.#options.source.resources(state.typeUrl, node);
    const collected = state.collect(all, { bytesMax: this.#options.limits.responseBytesMax });
    // What a workload may still name, or not name yet, stays until the workloads have been sent.
    const isKept = NAMED.has(state.typeUrl) && this.#types.has(TYPE_URL.address);
    const now = isKept ? state.keepBack(collected) : collected;
    if (isOwed || now.changed.length > 0 || now.removed.length > 0) {
      this.#respond(state, now);
    }
  }

  #respond(state: TypeState, { changed, removed }: Collected): void {
    if (changed.length === 0 && removed.length === 0 && state.lastSequence > 0) {
      return;
    }
    const { typeUrl } = state;
    const sequence = this.#options.nextSequence();
    const nonce = String(sequence);
    state.markSent({
      nonce,
      sequence,
      resources: new Map(changed.map(({ name, version }) => [name, version])),
      byName: new Set(changed.flatMap((one) => (one.appliesByName === true ? [one.name] : []))),
      removed,
    });
    this.#options.send(
      create(DeltaDiscoveryResponseSchema, {
        typeUrl,
        nonce,
        systemVersionInfo: nonce,
        removedResources: [...removed],
        resources: changed.map(({ name, version, value, aliases }) =>
          create(ResourceSchema, {
            name,
            version,
            aliases: state.isWildcard ? [] : [...aliases],
            resource: create(AnySchema, { typeUrl, value }),
          }),
        ),
      }),
    );
    const counts = { resources: changed.length, removed: removed.length };
    this.#options.onEvent({ kind: 'sent', typeUrl, sequence, ...counts });
  }
}
