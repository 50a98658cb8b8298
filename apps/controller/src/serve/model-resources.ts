/**
 * The model as resources: encoded once, versioned by content, the same bytes for every proxy.
 *
 * A waypoint gets the objects of its own scope and no other; whose waypoint it is follows from its
 * token's namespace and account, not from what it claims.
 */
import type { ObjectKey } from '@ambit/api';
import { type MeshDelta, type MeshOutputs, SEMANTICS_VERSION } from '@ambit/model';
import {
  addressResource,
  authorizationResource,
  type ContentHash,
  enrolmentResource,
  objectResource,
  podResource,
  type Resource,
  type ResourceChange,
  type ResourceSource,
  TYPE_URL,
  type XdsNode,
} from '@ambit/xds';

type Changed = { readonly changed: ReadonlySet<string>; readonly removed: ReadonlySet<string> };

type Encoded = ReadonlyMap<string, Resource>;
/** Of what a batch changes, by output. */
type Prepared = Readonly<
  Record<'addresses' | 'authorizations' | 'enrolments' | 'objects' | 'pods', Encoded>
>;

const NONE: ReadonlyMap<string, Resource> = new Map();
const NOTHING_PREPARED: Prepared = {
  addresses: NONE,
  authorizations: NONE,
  enrolments: NONE,
  objects: NONE,
  pods: NONE,
};

export class ModelResources implements ResourceSource {
  readonly #hash: ContentHash;
  readonly #types = new Map<string, Map<string, Resource>>();
  readonly #objects = new Map<ObjectKey, Resource>();
  readonly #scopes = new Map<string, ReadonlyMap<string, Resource>>();
  /** Pods by the name of their node. */
  readonly #nodes = new Map<string, Map<string, Resource>>();
  readonly #nodeOfPod = new Map<string, string>();
  readonly #listeners = new Set<(change: ResourceChange) => void>();
  #outputs: MeshOutputs | undefined;
  #prepared: Prepared | undefined;

  constructor(hash: ContentHash) {
    this.#hash = hash;
  }

  /** Live: for the turn in which it is asked, as streams do. What is in it never changes, and may be held. */
  resources(typeUrl: string, node: XdsNode): ReadonlyMap<string, Resource> {
    if (typeUrl === TYPE_URL.pod) return this.#podsOf(node);
    if (typeUrl !== TYPE_URL.object) return this.#types.get(typeUrl) ?? NONE;
    const waypoint = this.waypointOf(node);
    return waypoint === undefined ? NONE : (this.#scopes.get(waypoint) ?? NONE);
  }

  /** `namespace/name` of the waypoint that a node is; nothing for any other. */
  waypointOf(node: XdsNode): string | undefined {
    if (node.type !== 'waypoint') return undefined;
    const claimed = node.metadata['GATEWAY'];
    const own = `${node.namespace}/${node.serviceAccount}`;
    const name = typeof claimed === 'string' && claimed !== '' ? claimed : own;
    const spec = this.#outputs?.waypoints.get(name);
    if (spec === undefined) return name === own ? own : undefined;
    const isOwn = spec.namespace === node.namespace && spec.serviceAccount === node.serviceAccount;
    return isOwn ? name : undefined;
  }

  onChange(listener: (change: ResourceChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Encodes what a batch changes, for the `update` that follows. Throws for what cannot be told to proxies. */
  prepare(outputs: MeshOutputs, delta: MeshDelta): void {
    const hash = this.#hash;
    this.#prepared = {
      enrolments: encoded(delta.enrolments, outputs.enrolments, (one) =>
        enrolmentResource(one, hash),
      ),
      authorizations: encoded(delta.authorizations, outputs.authorizations, (one) =>
        authorizationResource(one, hash),
      ),
      addresses: encoded(delta.addresses, outputs.addresses, (one) => addressResource(one, hash)),
      pods: encoded(delta.pods, outputs.pods, (one) => podResource(one, hash)),
      objects: encoded(delta.objects, outputs.objects, (object, key) =>
        objectResource({ key, semanticsVersion: SEMANTICS_VERSION, object }, hash),
      ),
    };
  }

  /** Takes what a batch changed, and tells all types of it in this turn. */
  update(outputs: MeshOutputs, delta: MeshDelta): void {
    if (this.#prepared === undefined) this.prepare(outputs, delta);
    const prepared = this.#prepared ?? NOTHING_PREPARED;
    this.#prepared = undefined;
    this.#outputs = outputs;
    const changes = [
      this.#updateType(TYPE_URL.enrolment, delta.enrolments, prepared.enrolments),
      this.#updateType(TYPE_URL.authorization, delta.authorizations, prepared.authorizations),
      this.#updateType(TYPE_URL.address, delta.addresses, prepared.addresses),
      this.#updatePods(outputs, delta, prepared.pods),
      this.#updateObjects(outputs, delta, prepared.objects),
    ];
    for (const change of changes) {
      if (change === undefined) continue;
      for (const listener of this.#listeners) listener(change);
    }
  }

  /** The version that is current for a node; nothing if it has no such resource. */
  version(typeUrl: string, name: string, node: XdsNode): string | undefined {
    return this.resources(typeUrl, node).get(name)?.version;
  }

  counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([
      ...[...this.#types].map(([typeUrl, resources]) => [typeUrl, resources.size] as const),
      [TYPE_URL.object, this.#objects.size],
    ]);
  }

  #updateType(
    typeUrl: string,
    { changed, removed }: Changed,
    encodings: Encoded,
  ): ResourceChange | undefined {
    if (changed.size + removed.size === 0) return undefined;
    // In place: a copy of ten thousand for each change would be most of its cost.
    const resources = this.#types.get(typeUrl) ?? new Map<string, Resource>();
    for (const name of removed) resources.delete(name);
    for (const [name, resource] of encodings) resources.set(name, resource);
    this.#types.set(typeUrl, resources);
    return { typeUrl, names: new Set([...changed, ...removed]) };
  }

  /** An agent is told of the pods of its own node and of no other. */
  #podsOf(node: XdsNode): ReadonlyMap<string, Resource> {
    return node.type === 'ztunnel' ? (this.#nodes.get(node.nodeName) ?? NONE) : NONE;
  }

  #updatePods(
    outputs: MeshOutputs,
    { pods }: MeshDelta,
    encodings: Encoded,
  ): ResourceChange | undefined {
    const names = new Set([...pods.changed, ...pods.removed]);
    if (names.size === 0) return undefined;
    for (const name of names) {
      const before = this.#nodeOfPod.get(name) ?? '';
      const facts = outputs.pods.get(name);
      // In place, as all types: a node may have hundreds.
      if (facts?.node !== before) {
        this.#nodes.get(before)?.delete(name);
        if (this.#nodes.get(before)?.size === 0) this.#nodes.delete(before);
        this.#nodeOfPod.delete(name);
      }
      const resource = encodings.get(name);
      if (facts === undefined || resource === undefined) continue;
      const resources = this.#nodes.get(facts.node) ?? new Map<string, Resource>();
      resources.set(name, resource);
      this.#nodes.set(facts.node, resources);
      this.#nodeOfPod.set(name, facts.node);
    }
    return { typeUrl: TYPE_URL.pod, names };
  }

  /** Scopes are few and small: those that a change touches are made again. */
  #updateObjects(
    outputs: MeshOutputs,
    delta: MeshDelta,
    encodings: Encoded,
  ): ResourceChange | undefined {
    for (const key of delta.objects.removed) this.#objects.delete(key);
    for (const [key, resource] of encodings) this.#objects.set(key, resource);
    const touched = new Set([...delta.objects.changed, ...delta.objects.removed]);
    // With its account a waypoint's scope becomes another stream's, which has asked already.
    const isMoved = delta.waypoints.changed.size + delta.waypoints.removed.size > 0;
    let isChanged = isMoved || delta.scopes.removed.size > 0;
    for (const waypoint of delta.scopes.removed) this.#scopes.delete(waypoint);
    for (const [waypoint, keys] of outputs.scopes) {
      const isTouched =
        delta.scopes.changed.has(waypoint) || [...touched].some((key) => keys.has(key));
      if (!isTouched) continue;
      isChanged = true;
      const scope = [...keys].flatMap((key): readonly (readonly [string, Resource])[] => {
        const resource = this.#objects.get(key);
        return resource === undefined ? [] : [[key, resource]];
      });
      this.#scopes.set(waypoint, new Map(scope));
    }
    return isChanged ? { typeUrl: TYPE_URL.object, names: 'all' } : undefined;
  }
}

function encoded<V>(
  { changed }: Changed,
  values: ReadonlyMap<string, V>,
  encode: (value: V, name: string) => Resource,
): Encoded {
  const resources = new Map<string, Resource>();
  for (const name of changed) {
    const value = values.get(name);
    if (value !== undefined) resources.set(name, encode(value, name));
  }
  return resources;
}
