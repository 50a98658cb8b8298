/**
 * What agents hold, as one line of text for each resource: all of it that follows from the objects of the bench's world, so that
 * two lines are equal when agents would treat a connection alike.
 */
import type { Address, Workload } from '@ambit/model';
import type { CompiledPolicy } from '@ambit/policy';
import {
  decodeAddress,
  decodeAuthorization,
  decodeEnrolment,
  type RawResource,
  TYPE_URL,
} from '@ambit/xds';

/** Of a name that nobody holds. */
export const GONE = 'gone';

export interface HeldByAgents {
  /** Name to state, of the first agent. */
  readonly held: readonly (readonly [name: string, state: string])[];
  /** Where another agent holds something else. */
  readonly differing: readonly {
    readonly agent: number;
    readonly name: string;
    readonly state: string;
  }[];
}

/** The part of a workload that the world decides. */
export type WorkloadFacts = Pick<
  Workload,
  'status' | 'tunnelProtocol' | 'addresses' | 'node' | 'authorizationPolicies'
> & { readonly services: readonly string[] };

export function workloadState(facts: WorkloadFacts): string {
  const { status, tunnelProtocol, addresses, node, authorizationPolicies, services } = facts;
  const policies = authorizationPolicies.toSorted().join(',');
  const at = `${addresses.join(',')} on ${node}`;
  return `workload ${status} ${tunnelProtocol} ${at} policies ${policies} services ${services.toSorted().join(',')}`;
}

export function isHealthy(state: string): boolean {
  return state.startsWith('workload HEALTHY ');
}

export function isUnhealthy(state: string): boolean {
  return state.startsWith('workload UNHEALTHY ');
}

export function serviceState(addresses: readonly string[]): string {
  return `service ${addresses.toSorted().join(',')}`;
}

export function policyState(action: string, ports: readonly number[]): string {
  return `policy ${action} ports ${ports.toSorted((a, b) => a - b).join(',')}`;
}

export class StateReader {
  /** Ten agents get the same bytes: by type and version, which is that of the content. */
  readonly #known = new Map<string, string>();

  read(typeUrl: string, { name, version, value }: RawResource): string {
    const id = `${typeUrl} ${version}`;
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const state = decoded(typeUrl, name, value);
    this.#known.set(id, state);
    return state;
  }
}

function decoded(typeUrl: string, name: string, value: Uint8Array): string {
  switch (typeUrl) {
    case TYPE_URL.address:
      return addressState(decodeAddress(name, value));
    case TYPE_URL.authorization:
      return compiledState(decodeAuthorization(name, value));
    default:
      return `enrolment ${decodeEnrolment(name, value).mode}`;
  }
}

function addressState(address: Address): string {
  if (address.kind === 'service') {
    return serviceState(address.service.addresses.map((one) => one.address));
  }
  const { workload } = address;
  return workloadState({ ...workload, services: Object.keys(workload.services) });
}

function compiledState({ action, rules }: CompiledPolicy): string {
  const matches = rules.flatMap(({ clauses }) => clauses.flatMap((clause) => clause.matches));
  const ports = matches.flatMap(({ l4 }) => l4.destinationPorts);
  return policyState(action, ports);
}
