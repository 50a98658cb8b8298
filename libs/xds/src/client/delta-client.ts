/**
 * The delta ADS client, without a transport: connects, subscribes, applies in order, answers, and
 * after a break claims what it holds so that only the difference comes.
 *
 * What it holds stays in force while the server is away. Nothing is dropped for lack of a server.
 */
import { Backoff, type Clock } from '@ambit/core';

import { reasonOf, XdsError } from '../errors.ts';
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  Node,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import type { Subscription } from './subscription.ts';
import { TypeRecord, type TypeStatus } from './type-record.ts';

/** The reference waits up to 15 s. Another replica is there within seconds, and each attempt asks for its address anew. */
const BACKOFF = { initialMs: 10, maxMs: 5_000, jitter: 0.2 } as const;

/** One stream to the server. */
export interface DeltaTransport {
  send(request: DeltaDiscoveryRequest): void;
  /** Ends when the server ends the stream, throws a `StreamEnd` when it breaks. */
  readonly responses: AsyncIterable<DeltaDiscoveryResponse>;
  close(): void;
}

/** Opens a stream, or rejects. */
export type OpenDelta = (signal: AbortSignal) => Promise<DeltaTransport>;

/** How a stream ended. `isRoutine`: servers recycle connections; try again at once. */
export class StreamEnd extends XdsError {
  readonly isRoutine: boolean;

  constructor(message: string, options: { readonly isRoutine: boolean; readonly cause?: unknown }) {
    super('XDS_TRANSPORT', message, { retryable: true, cause: options.cause });
    this.isRoutine = options.isRoutine;
  }
}

export interface ClientStatus {
  readonly connected: boolean;
  readonly connectedSinceMs: number | undefined;
  /** Streams opened so far. */
  readonly connections: number;
  /** Why there is no stream, or why the last one ended. */
  readonly lastError: string | undefined;
  readonly isSynced: boolean;
  readonly types: readonly TypeStatus[];
}

/** For `istio_xds_*`. */
export interface ClientCounters {
  readonly terminations: Record<'ConnectionError' | 'Error' | 'Reconnect' | 'Complete', number>;
  /** By type URL. */
  readonly messages: Map<string, number>;
  readonly messageBytes: Map<string, number>;
  /** Responses of types that nobody subscribed to. */
  unexpected: number;
}

export interface DeltaClientOptions {
  readonly clock: Clock;
  readonly open: OpenDelta;
  readonly node: Node;
  /** Subscribed in this order; ours put policy before workloads. */
  readonly subscriptions: readonly Subscription[];
  readonly onConnected?: () => void;
  /** Once for each time the connection is lost or can not be made. */
  readonly onDisconnected?: (reason: string) => void;
  readonly random?: () => number;
}

export class DeltaClient {
  readonly counters: ClientCounters = {
    terminations: { ConnectionError: 0, Error: 0, Reconnect: 0, Complete: 0 },
    messages: new Map(),
    messageBytes: new Map(),
    unexpected: 0,
  };
  readonly #options: DeltaClientOptions;
  readonly #records: ReadonlyMap<string, TypeRecord>;
  readonly #stop = new AbortController();
  readonly #firstSync = Promise.withResolvers<void>();
  readonly #backoff: Backoff;
  #running: Promise<void> | undefined;
  #transport: DeltaTransport | undefined;
  #connectedSinceMs: number | undefined;
  #connections = 0;
  #lastError: string | undefined;

  constructor(options: DeltaClientOptions) {
    this.#options = options;
    this.#records = new Map(
      options.subscriptions.map((subscription) => [
        subscription.typeUrl,
        new TypeRecord(subscription),
      ]),
    );
    this.#backoff = new Backoff({ ...BACKOFF, random: options.random ?? Math.random });
  }

  /**
   * Resolves once every wildcard type has had a response that was not refused as a whole. Never
   * rejects; it may never resolve.
   */
  get firstSync(): Promise<void> {
    return this.#firstSync.promise;
  }

  /** Idempotent. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the stream and waits for the response that is being applied. Idempotent. */
  async stop(): Promise<void> {
    this.#stop.abort(new XdsError('XDS_STOPPED', 'the client has stopped', { side: 'local' }));
    this.#transport?.close();
    await this.#running;
  }

  /** What a subscription by names asks for, from now on. */
  setNames(typeUrl: string, names: ReadonlySet<string>): void {
    const record = this.#records.get(typeUrl);
    if (record?.subscription.mode !== 'names') {
      throw new XdsError('XDS_REQUEST_INVALID', `${typeUrl} is not subscribed to by names`, {
        side: 'local',
      });
    }
    const request = record.changeNames(names);
    if (request !== undefined) {
      this.#transport?.send(request);
    }
  }

  status(): ClientStatus {
    return {
      connected: this.#transport !== undefined,
      connectedSinceMs: this.#connectedSinceMs,
      connections: this.#connections,
      lastError: this.#lastError,
      isSynced: this.#isSynced(),
      types: [...this.#records.values()].map((record) => record.status()),
    };
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const error = await this.#connection();
      if (signal.aborted) {
        return;
      }
      if (error instanceof StreamEnd && error.isRoutine) {
        this.#backoff.reset();
      }
      const waitMs = this.#backoff.next();
      this.#disconnected(reasonOf(error));
      try {
        await this.#options.clock.sleep(waitMs, signal);
      } catch {
        // Only `stop` ends the sleep early, and the loop looks at it.
      }
    }
  }

  /** One stream from start to end; resolves with what ended it. */
  async #connection(): Promise<unknown> {
    const { terminations } = this.counters;
    let transport: DeltaTransport;
    try {
      transport = await this.#options.open(this.#stop.signal);
    } catch (error) {
      terminations.ConnectionError += 1;
      return error;
    }
    try {
      await this.#converse(transport);
      terminations.Complete += 1;
      return new StreamEnd('the server ended the stream', { isRoutine: true });
    } catch (error) {
      terminations[error instanceof StreamEnd && error.isRoutine ? 'Reconnect' : 'Error'] += 1;
      return error;
    } finally {
      this.#transport = undefined;
      this.#connectedSinceMs = undefined;
      transport.close();
    }
  }

  async #converse(transport: DeltaTransport): Promise<void> {
    if (this.#stop.signal.aborted) {
      return;
    }
    this.#connections += 1;
    this.#connectedSinceMs = this.#options.clock.wallNow();
    for (const record of this.#records.values()) {
      transport.send(record.firstRequest(this.#options.node));
    }
    this.#transport = transport;
    this.#options.onConnected?.();
    // One at a time: order is kept over all types, and a slow apply holds back the stream.
    for await (const response of transport.responses) {
      const record = this.#records.get(response.typeUrl);
      if (record === undefined) {
        this.counters.unexpected += 1;
        continue;
      }
      this.#count(response);
      const answer = await record.apply(response, this.#options.clock.wallNow());
      if (this.#stop.signal.aborted) {
        return;
      }
      // The server works: the next break is a new one.
      this.#backoff.reset();
      this.#lastError = undefined;
      transport.send(answer);
      if (this.#isSynced()) {
        this.#firstSync.resolve();
      }
    }
  }

  #isSynced(): boolean {
    return [...this.#records.values()].every(
      (record) => record.subscription.mode === 'names' || record.isSynced,
    );
  }

  #count(response: DeltaDiscoveryResponse): void {
    const { messages, messageBytes } = this.counters;
    const { typeUrl } = response;
    let bytes = 0;
    for (const { resource } of response.resources) {
      bytes += resource?.value.length ?? 0;
    }
    messages.set(typeUrl, (messages.get(typeUrl) ?? 0) + 1);
    messageBytes.set(typeUrl, (messageBytes.get(typeUrl) ?? 0) + bytes);
  }

  #disconnected(reason: string): void {
    const isNew = this.#lastError === undefined;
    this.#lastError = reason;
    if (isNew) {
      this.#options.onDisconnected?.(reason);
    }
  }
}
