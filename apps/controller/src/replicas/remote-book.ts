/**
 * What all other replicas say, for whoever asks about proxies here. Empty where there is one replica only.
 *
 * A proxy that moved may be listed by two replicas for a while: its newest stream is right. What a replica that
 * cannot be reached said last counts as unknown, never as an answer.
 */
import type { ObjectKey } from '@ambit/api';
import type { ReplicaAnswer, ReplicaProxy } from '@ambit/xds';

import type { RemoteState } from './remote-state.ts';

/** One other replica, as it is known now. */
export interface RemoteRecord {
  readonly name: string;
  /** Nothing: it was never heard. */
  readonly state: RemoteState | undefined;
  /** When its stream was lost; nothing while there is one. */
  readonly lostAtMs: number | undefined;
  /** It serves, so that it may have proxies that nobody here has heard of. */
  readonly isServing: boolean;
}

export interface RemoteProxy {
  readonly replica: string;
  /** As in `RemoteRecord`. */
  readonly lostAtMs: number | undefined;
  readonly proxy: ReplicaProxy;
}

/** What counts of one other replica when answers are summed. */
export interface RemoteReplica {
  readonly name: string;
  readonly isHeard: boolean;
  readonly isServing: boolean;
  /** Those that no other replica has a newer stream of. */
  readonly proxies: readonly ReplicaProxy[];
  readonly answer: (key: ObjectKey) => ReplicaAnswer | undefined;
}

export class RemoteBook {
  readonly #records = new Map<string, RemoteRecord>();
  #proxies: ReadonlyMap<string, RemoteProxy> | undefined;
  #replicas: readonly RemoteReplica[] | undefined;

  get records(): ReadonlyMap<string, RemoteRecord> {
    return this.#records;
  }

  /** Also to be called when something in its state has changed. */
  set(record: RemoteRecord): void {
    this.#records.set(record.name, record);
    this.#forget();
  }

  delete(name: string): void {
    this.#records.delete(name);
    this.#forget();
  }

  /** By id, each of the replica that is right about it. */
  proxies(): ReadonlyMap<string, RemoteProxy> {
    this.#proxies ??= this.#merge();
    return this.#proxies;
  }

  replicas(): readonly RemoteReplica[] {
    const proxies = this.proxies();
    this.#replicas ??= [...this.#records.values()].map(({ name, state, lostAtMs, isServing }) => ({
      name,
      isHeard: state !== undefined && lostAtMs === undefined,
      isServing,
      proxies: [...(state?.proxies.values() ?? [])].filter(
        ({ id }) => proxies.get(id)?.replica === name,
      ),
      answer: (key) => state?.answers.get(key),
    }));
    return this.#replicas;
  }

  #merge(): ReadonlyMap<string, RemoteProxy> {
    const merged = new Map<string, RemoteProxy>();
    for (const { name, state, lostAtMs } of this.#records.values()) {
      for (const proxy of state?.proxies.values() ?? []) {
        const found = { replica: name, lostAtMs, proxy };
        const other = merged.get(proxy.id);
        if (other === undefined || isRighter(found, other)) merged.set(proxy.id, found);
      }
    }
    return merged;
  }

  #forget(): void {
    this.#proxies = undefined;
    this.#replicas = undefined;
  }
}

function isRighter(a: RemoteProxy, b: RemoteProxy): boolean {
  const isLost = (one: RemoteProxy): boolean => one.lostAtMs !== undefined;
  if (isLost(a) !== isLost(b)) return isLost(b);
  const later = a.proxy.connectedAtMs - b.proxy.connectedAtMs;
  return later > 0 || (later === 0 && a.replica > b.replica);
}
