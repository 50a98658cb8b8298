/**
 * The delta ADS server, without a transport: streams, the source they are fed from, who has what.
 *
 * A change marks names on every stream and is sent in the next turn of the event loop, so all that one
 * batch changed is sent in the order of its types.
 */
import type { Clock } from '@ambit/core';
import type { TokenCaller } from '@ambit/identity';

import { XdsError } from '../errors.ts';
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import type { XdsNode } from '../node.ts';
import type { ResourceSource } from '../resource.ts';
import { TYPE_URL } from '../type-urls.ts';
import { DeltaStream, type StreamEvent, type StreamLimits } from './delta-stream.ts';
import type { Rejected } from './type-state.ts';

const STREAMS_MAX = 10_000;
const LIMITS: StreamLimits = {
  typesMax: 16,
  namesMax: 100_000,
  responseBytesMax: 100 * 1024 * 1024,
};
/** A foreign agent asks for workloads first and for policy a moment later; policy must be sent first. */
const POLICY_FIRST_MS = 20;

export type DeltaServerEvent =
  | { readonly kind: 'opened'; readonly stream: StreamView }
  | { readonly kind: 'closed'; readonly stream: StreamView }
  | (StreamEvent & { readonly stream: StreamView });

/** Live view of one stream; numbers and maps change as it goes on. */
export interface StreamView {
  readonly id: number;
  readonly caller: TokenCaller;
  /** Undefined before the first request. */
  readonly node: XdsNode | undefined;
  readonly connectedAtMs: number;
  readonly types: ReadonlyMap<string, TypeView>;
}

export interface TypeView {
  readonly isWildcard: boolean;
  /** Names asked for. */
  readonly names: ReadonlySet<string>;
  /** Name to version, as the client has acknowledged or claimed. */
  readonly acked: ReadonlyMap<string, string>;
  /** The last version of a name that the client refused, until it accepts another. */
  readonly rejected: ReadonlyMap<string, Rejected>;
  /** Sent and not answered: name to version. */
  readonly inFlight?: { readonly resources: ReadonlyMap<string, string> } | undefined;
  /** Nothing is in flight and nothing is waiting. */
  readonly isSettled: boolean;
  readonly lastSequence: number;
  readonly ackedSequence: number;
}

export interface DeltaServerOptions {
  readonly clock: Clock;
  readonly source: ResourceSource;
  readonly onEvent?: (event: DeltaServerEvent) => void;
  readonly streamsMax?: number;
  readonly limits?: Partial<StreamLimits>;
  /** Default: Capture and Trust. */
  readonly silentTypeUrls?: readonly string[];
}

export interface DeltaCall {
  send(response: DeltaDiscoveryResponse): void;
  /** Ends the call with an error. */
  fail(error: XdsError): void;
}

/** What a transport holds of a stream. */
export interface OpenStream {
  receive(request: DeltaDiscoveryRequest): void;
  /** The call is over. Idempotent. */
  close(): void;
}

interface Entry {
  readonly stream: DeltaStream;
  readonly view: StreamView;
  readonly call: DeltaCall;
  readonly closed: AbortController;
  isScheduled: boolean;
}

export class DeltaServer {
  readonly #options: DeltaServerOptions;
  readonly #entries = new Map<number, Entry>();
  readonly #stopListening: () => void;
  #nextId = 1;
  #sequence = 0;
  refusedAtLimit = 0;

  constructor(options: DeltaServerOptions) {
    this.#options = options;
    this.#stopListening = options.source.onChange((change) => {
      for (const entry of this.#entries.values()) {
        if (entry.stream.mark(change)) {
          this.#schedule(entry);
        }
      }
    });
  }

  streams(): StreamView[] {
    return [...this.#entries.values()].map(({ view }) => view);
  }

  /** The sequence number of the last response sent on any stream. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Throws XDS_LIMIT. The caller has been authenticated. */
  open(call: DeltaCall, caller: TokenCaller): OpenStream {
    const { streamsMax = STREAMS_MAX, clock } = this.#options;
    if (this.#entries.size >= streamsMax) {
      this.refusedAtLimit += 1;
      throw new XdsError('XDS_LIMIT', `more than ${streamsMax} streams`, {
        side: 'local',
        retryable: true,
      });
    }
    const entry = this.#makeEntry(call, caller, clock.wallNow());
    this.#entries.set(entry.stream.id, entry);
    this.#options.onEvent?.({ kind: 'opened', stream: entry.view });
    return {
      receive: (request) => {
        try {
          entry.stream.receive(request);
        } catch (error) {
          this.#remove(entry);
          call.fail(
            error instanceof XdsError
              ? error
              : new XdsError('XDS_REQUEST_INVALID', 'internal error', { cause: error }),
          );
        }
      },
      close: () => this.#remove(entry),
    };
  }

  /** Ends every stream. */
  stop(): void {
    this.#stopListening();
    for (const entry of [...this.#entries.values()]) {
      this.#remove(entry);
      entry.call.fail(new XdsError('XDS_STOPPED', 'transport is closing', { retryable: true }));
    }
  }

  #makeEntry(call: DeltaCall, caller: TokenCaller, connectedAtMs: number): Entry {
    const { source, limits, silentTypeUrls = [TYPE_URL.capture, TYPE_URL.trust] } = this.#options;
    const id = this.#nextId;
    this.#nextId += 1;
    const stream = new DeltaStream({
      id,
      caller,
      source,
      limits: { ...LIMITS, ...limits },
      silentTypeUrls: new Set(silentTypeUrls),
      nextSequence: () => {
        this.#sequence += 1;
        return this.#sequence;
      },
      send: (response) => call.send(response),
      onEvent: (event) => this.#options.onEvent?.({ ...event, stream: entry.view }),
      onWork: (typeUrl) => this.#onWork(entry, typeUrl),
    });
    const view: StreamView = {
      id,
      caller,
      get node() {
        return stream.node;
      },
      connectedAtMs,
      types: stream.types,
    };
    const entry: Entry = { stream, view, call, closed: new AbortController(), isScheduled: false };
    return entry;
  }

  #onWork(entry: Entry, typeUrl: string): void {
    const { types } = entry.stream;
    const isFirstAddress =
      typeUrl === TYPE_URL.address &&
      types.get(typeUrl)?.lastSequence === 0 &&
      !types.has(TYPE_URL.authorization);
    if (!isFirstAddress) {
      this.#schedule(entry);
      return;
    }
    this.#options.clock.sleep(POLICY_FIRST_MS, entry.closed.signal).then(
      () => this.#schedule(entry),
      () => undefined, // closed meanwhile
    );
  }

  #schedule(entry: Entry): void {
    if (entry.isScheduled) {
      return;
    }
    entry.isScheduled = true;
    setImmediate(() => {
      entry.isScheduled = false;
      if (!entry.closed.signal.aborted) {
        entry.stream.flush();
      }
    });
  }

  #remove(entry: Entry): void {
    if (this.#entries.delete(entry.stream.id)) {
      entry.closed.abort();
      this.#options.onEvent?.({ kind: 'closed', stream: entry.view });
    }
  }
}
