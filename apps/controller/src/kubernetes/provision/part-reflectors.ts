/**
 * The parts of waypoints as they are in the cluster: only what carries our labels, and of it only what has to be known.
 *
 * Rule: a change is told when somebody changed what we made, or when its state for others changed; not for each status that the
 * server's controllers write.
 */
import { isDeepStrictEqual } from 'node:util';
import { matchesLabels } from '@ambit/api';
import { type KubeObject, type OwnerReference, Reflector, type ReflectorEvent } from '@ambit/kube';
import { GATEWAY_NAME } from '../../provision/waypoint-objects.ts';
import { type KubernetesContext, MANAGED_BY } from '../context.ts';
import { type Observed, observedOf } from './observed.ts';
import { controllerOf, fingerprintOf, PART_KINDS, PART_TYPES, type PartKind } from './parts.ts';

/** One object that we made, as it is there. */
export interface ManagedPart {
  readonly kind: PartKind;
  readonly namespace: string;
  readonly name: string;
  /** `namespace/name` of the waypoint by its label. */
  readonly waypoint: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly fingerprint: string;
  readonly isDeleting: boolean;
  readonly owner: OwnerReference | undefined;
  readonly observed: Observed;
}

export interface PartReflectorsOptions {
  readonly context: Pick<KubernetesContext, 'http' | 'discovery' | 'clock' | 'metrics'>;
  /** A part of the waypoint was changed, came or went; `gone`: the key of the one that went. */
  readonly onDrift: (waypoint: string, gone?: string) => void;
  /** What others see of the waypoint changed. */
  readonly onObserved: (waypoint: string) => void;
}

const SELECTOR = [
  ...Object.entries(MANAGED_BY).map(([key, value]) => `${key}=${value}`),
  GATEWAY_NAME,
].join(',');

export class PartReflectors {
  readonly #options: PartReflectorsOptions;
  readonly #reflectors: ReadonlyMap<PartKind, Reflector<ManagedPart>>;
  /** Waypoint → its parts, by `kind/name`. */
  readonly #byWaypoint = new Map<string, Map<string, ManagedPart>>();

  constructor(options: PartReflectorsOptions) {
    this.#options = options;
    this.#reflectors = new Map(PART_KINDS.map((kind) => [kind, this.#reflectorOf(kind)]));
  }

  start(): void {
    for (const reflector of this.#reflectors.values()) reflector.start();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#reflectors.values()].map((reflector) => reflector.stop()));
  }

  /** Resolves when all that is there is known. Rejects when stopped before. */
  async whenSynced(): Promise<void> {
    await Promise.all([...this.#reflectors.values()].map((reflector) => reflector.whenSynced()));
  }

  waypoints(): readonly string[] {
    return [...this.#byWaypoint.keys()];
  }

  partsOf(waypoint: string): readonly ManagedPart[] {
    return [...(this.#byWaypoint.get(waypoint)?.values() ?? [])];
  }

  #reflectorOf(kind: PartKind): Reflector<ManagedPart> {
    const { http, discovery, clock, metrics } = this.#options.context;
    const { group, resource, version } = PART_TYPES[kind];
    return new Reflector({
      http,
      discovery,
      clock,
      metrics,
      resource: { group, resource, versions: [version] },
      labelSelector: SELECTOR,
      prune: (object) => pruned(kind, object),
      onEvent: (event) => this.#onEvent(event),
    });
  }

  #onEvent(event: ReflectorEvent<ManagedPart>): void {
    const { onDrift, onObserved } = this.#options;
    switch (event.kind) {
      case 'added':
        this.#put(event.object);
        onDrift(event.object.waypoint);
        return;
      case 'deleted':
        this.#take(event.old);
        onDrift(event.old.waypoint, partKey(event.old.kind, event.old.name));
        return;
      case 'updated': {
        const { old, object } = event;
        this.#take(old);
        this.#put(object);
        if (old.waypoint !== object.waypoint) onDrift(old.waypoint);
        if (old.fingerprint !== object.fingerprint || old.isDeleting !== object.isDeleting) {
          onDrift(object.waypoint);
        } else if (!isDeepStrictEqual(old.observed, object.observed)) {
          onObserved(object.waypoint);
        }
        return;
      }
      case 'forgotten':
      case 'malformed':
      case 'synced':
    }
  }

  #put(part: ManagedPart): void {
    const parts = this.#byWaypoint.get(part.waypoint) ?? new Map<string, ManagedPart>();
    parts.set(partKey(part.kind, part.name), part);
    this.#byWaypoint.set(part.waypoint, parts);
  }

  #take(part: ManagedPart): void {
    const parts = this.#byWaypoint.get(part.waypoint);
    parts?.delete(partKey(part.kind, part.name));
    if (parts?.size === 0) this.#byWaypoint.delete(part.waypoint);
  }
}

export function partKey(kind: PartKind, name: string): string {
  return `${kind}/${name}`;
}

function pruned(kind: PartKind, object: KubeObject): ManagedPart | undefined {
  const { name, namespace = '', labels = {}, deletionTimestamp } = object.metadata;
  const { uid = '', resourceVersion = '' } = object.metadata;
  // Never mistaken for ours, whatever the server makes of the selector.
  if (!matchesLabels(MANAGED_BY, labels)) return undefined;
  return {
    kind,
    namespace,
    name,
    waypoint: `${namespace}/${labels[GATEWAY_NAME] ?? ''}`,
    uid,
    resourceVersion,
    fingerprint: fingerprintOf(object),
    isDeleting: deletionTimestamp !== undefined,
    owner: controllerOf(object),
    observed: observedOf(kind, object),
  };
}
