/**
 * The delta ADS server, without a transport: streams, the source they are fed from, who has what.
 *
 * A change marks names on every stream and is sent in the next turn of the event loop, so all that one
 * batch changed is sent in the order of its types. A stream has an age at which it is ended, so that proxies spread again over
 * replicas that came later.
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
/** Streams that began together, after a replica has gone, must not all end together. */
const AGE_JITTER = 0.1;
/** At its age a stream ends when all that was sent is acknowledged, or after so long. */
const AGE_GRACE_MS = 10_000;
const SETTLED_AGAIN_MS = 200;

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
  /** A stream is ended at about this age; its client comes back at once, to any replica, and is sent what differs. Default: never. */
  readonly streamAgeMs?: number;
  readonly random?: () => number;
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
    void this.#endAtAge(entry);
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
    for (const entry of [...this.#entries.values()]) this.#end(entry);
  }

  /** Clients take these words for the end of a connection, not for a fault, and come back without a pause. */
  #end(entry: Entry): void {
    this.#remove(entry);
    entry.call.fail(new XdsError('XDS_STOPPED', 'transport is closing', { retryable: true }));
  }

  async #endAtAge(entry: Entry): Promise<void> {
    const { clock, streamAgeMs, random = Math.random } = this.#options;
    if (streamAgeMs === undefined) return;
    const ageMs = streamAgeMs * (1 + AGE_JITTER * (2 * random() - 1));
    const latest = clock.now() + ageMs + AGE_GRACE_MS;
    try {
      await clock.sleep(ageMs, entry.closed.signal);
      while (!isSettled(entry) && clock.now() < latest) {
        await clock.sleep(SETTLED_AGAIN_MS, entry.closed.signal);
      }
      this.#end(entry);
    } catch {
      // Only its own end ends a sleep early.
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

function isSettled({ view }: Entry): boolean {
  return [...view.types.values()].every((type) => type.isSettled);
}
