/**
 * Proxies as people see them: connected ones by their streams, expected ones by their pods.
 *
 * A proxy whose pod runs and that has no stream, here or to another replica, is unreachable. Of two streams of one
 * proxy the newest is right.
 */
import type { ObjectKey } from '@ambit/api';
import type { AdminProxy, AdminProxyKind, AdminSubscription } from '@ambit/model';
import {
  type DeltaServerEvent,
  type ReplicaProxy,
  type StreamView,
  TYPE_URL,
  VERSION_METADATA,
  type XdsNode,
} from '@ambit/xds';

import type { RemoteProxy } from '../replicas/remote-book.ts';
import { type ExpectedProxy, ProxyIdentity, type ProxyIdentityOptions } from './proxy-identity.ts';

/** What is known of one stream beyond its view. */
interface StreamTimes {
  readonly sentAtMs: Map<string, number>;
  readonly acknowledgedAtMs: Map<string, number>;
  readonly errors: Map<string, string>;
}

interface Gone {
  readonly proxy: AdminProxy;
  readonly pod: ObjectKey;
}

/** A proxy of a kind that has no pod here is shown for this long after it went; others while their pod is. */
const GONE_MS_MAX = 10 * 60_000;
const GONE_MAX = 1_000;
const NO_REMOTE: ReadonlyMap<string, RemoteProxy> = new Map();

export interface ProxyTableOptions extends ProxyIdentityOptions {
  readonly wallNow: () => number;
  readonly capturedOf: (node: string) => readonly string[];
  /** Those of other replicas, by id. Default: there are none. */
  readonly remote?: () => ReadonlyMap<string, RemoteProxy>;
}

export interface ProxyTrust {
  /** `node-agent NODE`, `waypoint NS/NAME`. */
  readonly name: string;
  /** `trustNames`; undefined: nobody knows. */
  readonly names: ReadonlySet<string> | undefined;
}

export class ProxyTable {
  readonly #options: ProxyTableOptions;
  readonly #streams = new Map<number, StreamView>();
  readonly #times = new Map<number, StreamTimes>();
  readonly #gone = new Map<string, Gone>();
  readonly #proxyPods = new Map<ObjectKey, ExpectedProxy>();
  readonly #identity: ProxyIdentity;

  constructor(options: ProxyTableOptions) {
    this.#options = options;
    this.#identity = new ProxyIdentity(options);
  }

  /** Of each proxy its newest, unless another replica has a newer one. */
  get streams(): readonly StreamView[] {
    const remote = this.#remote();
    const newest = new Map<string | number, StreamView>();
    for (const stream of this.#streams.values()) {
      const id = stream.node?.id ?? stream.id;
      const there = remote.get(stream.node?.id ?? '');
      const isMoved =
        there !== undefined &&
        there.lostAtMs === undefined &&
        there.proxy.connectedAtMs > stream.connectedAtMs;
      const other = newest.get(id);
      const isNewest = other === undefined || stream.connectedAtMs >= other.connectedAtMs;
      if (!isMoved && isNewest) newest.set(id, stream);
    }
    return [...newest.values()];
  }

  /**
   * Those of agents and waypoints, by identity. Any pod may ask for configuration with its own token; what it acknowledges, refuses or
   * trusts is nobody's business but its own.
   */
  get meshStreams(): readonly StreamView[] {
    return this.streams.filter(
      (stream) =>
        stream.node !== undefined && this.#identity.kindOf(stream, stream.node) !== 'other',
    );
  }

  /** What is said to other replicas. */
  own(): readonly ReplicaProxy[] {
    return this.streams.flatMap((stream): readonly ReplicaProxy[] => {
      const { node, connectedAtMs } = stream;
      const described = this.#describe(stream);
      if (node === undefined || described === undefined) return [];
      const { id, kind, name, address, subscriptions } = described;
      const pod = `${node.namespace}/${node.podName}`;
      const waypoint = this.#options.waypointOf(node);
      const place = { pod, node: node.nodeName, waypoint };
      const names = [...(stream.types.get(TYPE_URL.trust)?.names ?? [])].sort();
      const trust = names.length === 0 ? {} : { trust: names };
      return [{ id, kind, name, address, connectedAtMs, ...place, subscriptions, ...trust }];
    });
  }

  /** What every agent and waypoint says of the roots it has: here, at other replicas, and those that should be there and are not. */
  trust(): readonly ProxyTrust[] {
    const here = this.own();
    const ids = new Set(here.map(({ id }) => id));
    // One whose replica is away is among the unreachable.
    const elsewhere = [...this.#remote().values()].flatMap(({ proxy, lostAtMs }) =>
      ids.has(proxy.id) || lostAtMs !== undefined ? [] : [proxy],
    );
    const unreachable = this.unreachable().map((one) => ({ ...one, trust: undefined }));
    const proxies = [...here, ...elsewhere].filter(({ kind }) => kind !== 'other');
    return [...proxies, ...unreachable].map(({ kind, name, trust }) => ({
      name: `${kind} ${name}`,
      names: trust === undefined ? undefined : new Set(trust),
    }));
  }

  /** To be called for every object that was written or taken away. */
  updatePod(key: ObjectKey): void {
    if (!key.startsWith('Pod/')) return;
    const object = this.#options.objects.get(key);
    const expected = object?.kind === 'Pod' ? this.#identity.expectedOf(key, object) : undefined;
    if (expected === undefined) this.#proxyPods.delete(key);
    else this.#proxyPods.set(key, expected);
  }

  /** Expected proxies without a stream. */
  unreachable(): readonly ExpectedProxy[] {
    const connected = new Set(
      this.streams.flatMap(({ node }) => (node === undefined ? [] : [podKey(node)])),
    );
    for (const { proxy, lostAtMs } of this.#remote().values()) {
      if (lostAtMs === undefined) connected.add(`Pod/${proxy.pod}`);
    }
    return [...this.#proxyPods.values()].filter(
      (proxy) => !connected.has(proxy.pod) && this.#identity.isOurs(proxy),
    );
  }

  onEvent(event: DeltaServerEvent): void {
    const { stream } = event;
    const nowMs = this.#options.wallNow();
    if (event.kind === 'opened') {
      this.#streams.set(stream.id, stream);
      this.#times.set(stream.id, {
        sentAtMs: new Map(),
        acknowledgedAtMs: new Map(),
        errors: new Map(),
      });
      return;
    }
    const times = this.#times.get(stream.id);
    switch (event.kind) {
      case 'closed':
        this.#close(stream, nowMs);
        return;
      case 'sent':
        times?.sentAtMs.set(event.typeUrl, nowMs);
        return;
      case 'acknowledged':
        times?.acknowledgedAtMs.set(event.typeUrl, nowMs);
        // Of one object's refusal the answers for others say nothing.
        if ((stream.types.get(event.typeUrl)?.rejected.size ?? 0) === 0) {
          times?.errors.delete(event.typeUrl);
        }
        return;
      case 'refused':
        times?.errors.set(event.typeUrl, event.message.slice(0, 2_000));
        return;
      case 'subscribed':
        return;
    }
  }

  list(): readonly AdminProxy[] {
    const nowMs = this.#options.wallNow();
    const here = this.streams.flatMap((stream) => this.#describe(stream) ?? []);
    const connected = [...here, ...this.#elsewhere(new Set(here.map(({ id }) => id)))];
    const ids = new Set(connected.map(({ id }) => id));
    for (const [id, { proxy, pod }] of this.#gone) {
      const isStale =
        proxy.kind === 'other'
          ? nowMs - (proxy.disconnectedSinceMs ?? 0) > GONE_MS_MAX
          : !this.#proxyPods.has(pod);
      if (ids.has(id) || isStale) this.#gone.delete(id);
    }
    const gone = [...this.#gone.values()].map(({ proxy }) => proxy);
    // By pod: one of a waypoint that has no stream hides behind no other that has one.
    const shown = new Set([...connected, ...gone].map(({ pod }) => pod));
    const missing = this.unreachable()
      .filter(({ pod }) => !shown.has(pod))
      .map(
        ({ pod, kind, name }): AdminProxy => ({
          id: pod,
          kind,
          name,
          pod,
          address: '',
          subscriptions: [],
          captured: [],
        }),
      );
    return [...connected, ...gone, ...missing].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  #remote(): ReadonlyMap<string, RemoteProxy> {
    return this.#options.remote?.() ?? NO_REMOTE;
  }

  /** Proxies of other replicas; those of a replica that cannot be asked are away as long as it is. */
  #elsewhere(here: ReadonlySet<string>): readonly AdminProxy[] {
    return [...this.#remote().values()]
      .filter(({ proxy }) => !here.has(proxy.id))
      .map(({ replica, lostAtMs, proxy }): AdminProxy => {
        const { id, kind, name, address, connectedAtMs, node, subscriptions } = proxy;
        return {
          ...{ id, kind, name, address, replica, subscriptions, pod: `Pod/${proxy.pod}` },
          ...(lostAtMs === undefined
            ? { connectedSinceMs: connectedAtMs }
            : { disconnectedSinceMs: lostAtMs }),
          captured: this.#capturedOf(kind, node),
        };
      });
  }

  #capturedOf(kind: AdminProxyKind, node: string): readonly string[] {
    return kind === 'node-agent' ? [...this.#options.capturedOf(node)].sort() : [];
  }

  #close(stream: StreamView, nowMs: number): void {
    const proxy = this.#describe(stream);
    this.#streams.delete(stream.id);
    this.#times.delete(stream.id);
    if (proxy === undefined || stream.node === undefined) return;
    const { connectedSinceMs: _, ...rest } = proxy;
    this.#gone.set(proxy.id, {
      proxy: { ...rest, disconnectedSinceMs: nowMs },
      pod: podKey(stream.node),
    });
    const oldest = this.#gone.keys().next();
    if (this.#gone.size > GONE_MAX && oldest.done !== true) this.#gone.delete(oldest.value);
  }

  #describe(stream: StreamView): AdminProxy | undefined {
    const { node } = stream;
    if (node === undefined) return undefined;
    const kind = this.#identity.kindOf(stream, node);
    const times = this.#times.get(stream.id);
    return {
      id: node.id,
      kind,
      name: nameOf(kind, node, this.#options.waypointOf(node)),
      pod: podKey(node),
      address: node.ip,
      ...versionOf(node),
      connectedSinceMs: stream.connectedAtMs,
      subscriptions: [...stream.types].map(([typeUrl, type]): AdminSubscription => {
        const isPending = type.lastSequence !== type.ackedSequence;
        const sent = times?.sentAtMs.get(typeUrl);
        const acknowledged = times?.acknowledgedAtMs.get(typeUrl);
        const error = times?.errors.get(typeUrl);
        return {
          type: typeUrl.slice(typeUrl.lastIndexOf('.') + 1),
          resources: type.acked.size,
          pending: isPending ? 1 : 0,
          ...(isPending && sent !== undefined ? { pendingSinceMs: sent } : {}),
          ...(acknowledged === undefined ? {} : { acknowledgedAtMs: acknowledged }),
          ...(error === undefined ? {} : { error }),
        };
      }),
      captured: this.#capturedOf(kind, node.nodeName),
    };
  }
}

function podKey(node: XdsNode): ObjectKey {
  return `Pod/${node.namespace}/${node.podName}`;
}

function nameOf(kind: AdminProxyKind, node: XdsNode, waypoint: string | undefined): string {
  if (kind === 'node-agent') return node.nodeName;
  return kind === 'waypoint' && waypoint !== undefined ? waypoint : node.podName;
}

/** Only what looks like one: it is shown to people. */
function versionOf({ metadata }: XdsNode): { readonly version?: string } {
  const said = metadata[VERSION_METADATA];
  return typeof said === 'string' && /^[0-9A-Za-z.+_-]{1,64}$/.test(said) ? { version: said } : {};
}
