/** The replicas of this controller, by their pods: those that carry its label and run as its account. A label alone anybody may copy. */
import { isIPv6 } from 'node:net';

import type { MeshObject, ObjectKey, Pod } from '@ambit/api';

import type { Peer } from '../replicas/replica-peers.ts';

const NAME_LABEL = 'app.kubernetes.io/name';
const NAME = 'ambit-controller';

export interface ControllerPodsOptions {
  readonly objects: ReadonlyMap<ObjectKey, MeshObject>;
  readonly namespace: string;
  /** That replicas run as. */
  readonly serviceAccount: string;
  /** Of the control plane. */
  readonly port: number;
}

export class ControllerPods {
  readonly #options: ControllerPodsOptions;
  readonly #peers = new Map<ObjectKey, Peer>();

  constructor(options: ControllerPodsOptions) {
    this.#options = options;
  }

  list(): readonly Peer[] {
    return [...this.#peers.values()];
  }

  /** To be called with the keys of objects that were written or taken away. True: the list is another. */
  update(causes: Iterable<ObjectKey>): boolean {
    const prefix = `Pod/${this.#options.namespace}/`;
    let isChanged = false;
    for (const key of causes) {
      if (!key.startsWith(prefix)) continue;
      const object = this.#options.objects.get(key);
      const peer = object?.kind === 'Pod' ? this.#peerOf(object) : undefined;
      isChanged ||= JSON.stringify(peer) !== JSON.stringify(this.#peers.get(key));
      if (peer === undefined) this.#peers.delete(key);
      else this.#peers.set(key, peer);
    }
    return isChanged;
  }

  #peerOf({ metadata, spec, status }: Pod): Peer | undefined {
    const hasEnded = status.phase === 'Succeeded' || status.phase === 'Failed';
    const { serviceAccount, port } = this.#options;
    const isReplica =
      metadata.labels[NAME_LABEL] === NAME && spec.serviceAccountName === serviceAccount;
    if (!isReplica || hasEnded) return undefined;
    const [ip] = status.podIPs;
    const host = ip !== undefined && isIPv6(ip) ? `[${ip}]` : ip;
    return {
      name: metadata.name,
      address: host === undefined ? '' : `${host}:${port}`,
      isReady: status.ready && !status.terminating,
    };
  }
}
