/** Resources on their way: what a server has, and how it says that something changed. */
import type { Address, Enrolment, PodFacts } from '@ambit/model';
import type { CompiledPolicy } from '@ambit/policy';

import { addressAliases, addressName, encodeAddress } from './codec/address.ts';
import { authorizationName, encodeAuthorization } from './codec/authorization.ts';
import { encodeEnrolment } from './codec/enrolment.ts';
import { encodeObject, type ObjectResource } from './codec/object.ts';
import { encodePod, podName } from './codec/pod.ts';
import type { ContentHash } from './content-hash.ts';
import type { XdsNode } from './node.ts';

export interface Resource {
  readonly name: string;
  /** Of the content. Equal versions are never sent twice. */
  readonly version: string;
  /** The value of the Any; its type is the type it is subscribed by. */
  readonly value: Uint8Array;
  /** Other names that an on-demand subscriber may ask by. */
  readonly aliases: readonly string[];
  /** Order within one response, lowest first. */
  readonly rank: number;
  /** Applies only where another resource names it: a policy with a selector. */
  readonly appliesByName?: boolean;
}

/** Names whose resource appeared, changed or went. `all`: look at everything. */
export interface ResourceChange {
  readonly typeUrl: string;
  readonly names: ReadonlySet<string> | 'all';
}

/** What the controller implements. */
export interface ResourceSource {
  /** All that this node may see of a type, by name. To be read in the same turn of the event loop: it changes later. */
  resources(typeUrl: string, node: XdsNode): ReadonlyMap<string, Resource>;
  /**
   * Called after `resources` answers the new state. All types of one batch are told before any of
   * them is sent, if the calls are made in one turn of the event loop. Returns how to stop.
   */
  onChange(listener: (change: ResourceChange) => void): () => void;
}

/** Workloads before services: a service with endpoints that nobody knows yet would be empty. */
export function addressResource(address: Address, hash: ContentHash): Resource {
  const value = encodeAddress(address);
  return {
    name: addressName(address),
    version: hash(value),
    value,
    aliases: addressAliases(address),
    rank: address.kind === 'workload' ? 0 : 1,
  };
}

export function authorizationResource(policy: CompiledPolicy, hash: ContentHash): Resource {
  return {
    ...plain(authorizationName(policy), encodeAuthorization(policy), hash),
    appliesByName: policy.scope === 'WORKLOAD_SELECTOR',
  };
}

export function enrolmentResource(enrolment: Enrolment, hash: ContentHash): Resource {
  return plain(enrolment.namespace, encodeEnrolment(enrolment), hash);
}

export function podResource(facts: PodFacts, hash: ContentHash): Resource {
  return plain(podName(facts), encodePod(facts), hash);
}

export function objectResource(object: ObjectResource, hash: ContentHash): Resource {
  return plain(object.key, encodeObject(object), hash);
}

function plain(name: string, value: Uint8Array, hash: ContentHash): Resource {
  return { name, version: hash(value), value, aliases: [], rank: 0 };
}
