/**
 * Which endpoints of a waypoint's destination have to be asked before the route, and what each of them is decided by: found
 * once a destination and change, because every request asks.
 */
import { parseIp } from '@ambit/api';
import { asksForPort, type L4Match, type Match } from '@ambit/policy';
import { serviceKey } from '@ambit/routing';

import type { Workload } from '../types.ts';
import type { PolicySet } from './scoped-policies.ts';
import type { WaypointQuestion } from './waypoint-authorization.ts';

/** Endpoints looked at before the route where they differ; beyond, each decides once chosen. */
const PLACES_LOOKED_AT_MAX = 64;
export const NO_ADDRESS = new Uint8Array(4);
const addresses = new WeakMap<object, Uint8Array>();

/** `text`, which `owner` always has, in bytes: read once. */
export function addressOf(owner: object, text: string): Uint8Array {
  let address = addresses.get(owner);
  if (address === undefined) {
    address = parseIp(text) ?? NO_ADDRESS;
    addresses.set(owner, address);
  }
  return address;
}

/** One endpoint: a workload and its own port. */
export interface PolicyPlace {
  readonly workload: Workload;
  readonly targetPort: number;
}

/** An endpoint, with what its policies are decided by. */
export interface PlannedPlace {
  readonly set: PolicySet;
  /** Undefined: it is known by its name alone. */
  readonly ip: Uint8Array | undefined;
  readonly port: number;
  /** Endpoints that have the same set share its decision. */
  readonly isShared: boolean;
}

export interface PlacePlan {
  /** Every place whose decision may differ from the others'. */
  readonly places: readonly PlannedPlace[];
  /** There are more than are looked at before the route. */
  readonly isCut: boolean;
  /** Places that were asked for. */
  readonly known: WeakMap<PolicyPlace, PlannedPlace>;
}

/** Which endpoints of a destination have to be asked, and what of; made once a destination and change. */
export class PolicyPlans {
  readonly #plans = new Map<string, PlacePlan>();
  #byDestination = new WeakMap<WaypointQuestion['destination'], PlacePlan>();
  /** Another number after every `clear`. */
  version = 0;

  /** Call after every change of addresses or objects. */
  clear(): void {
    this.version += 1;
    this.#plans.clear();
    this.#byDestination = new WeakMap();
  }

  get(question: WaypointQuestion): PlacePlan {
    const { destination } = question;
    let plan = this.#byDestination.get(destination);
    if (plan === undefined) {
      const { service, workload, port } = destination;
      const key = `${workload?.uid ?? (service === undefined ? '' : serviceKey(service))} ${port}`;
      plan = this.#plans.get(key) ?? planOf(question);
      this.#plans.set(key, plan);
      this.#byDestination.set(destination, plan);
    }
    return plan;
  }
}

/** One place for each distinct set, and every place where a rule asks for its address or port. */
export function planOf(question: WaypointQuestion): PlacePlan {
  const seen = new Set<PolicySet>();
  const places: PlannedPlace[] = [];
  for (const place of placesOf(question)) {
    const planned = plannedPlace(place, question);
    if (!planned.isShared || !seen.has(planned.set)) places.push(planned);
    seen.add(planned.set);
  }
  return {
    places: places.slice(0, PLACES_LOOKED_AT_MAX),
    isCut: places.length > PLACES_LOOKED_AT_MAX,
    known: new WeakMap(),
  };
}

export function plannedPlace(place: PolicyPlace, question: WaypointQuestion): PlannedPlace {
  const { targetPort } = place;
  const workload = question.index.workloadByUid(place.workload.uid) ?? place.workload;
  const set = policiesOf({ workload, targetPort }, question);
  const [address] = workload.addresses;
  const ip = address === undefined ? undefined : addressOf(workload, address);
  const isShared = !dependsOnEndpoint(set);
  return { set, ip, port: targetPort, isShared };
}

function placesOf({ index, destination }: WaypointQuestion): readonly PolicyPlace[] {
  const { workload, service, port } = destination;
  if (workload !== undefined) return [{ workload, targetPort: port }];
  if (service === undefined) return [];
  const key = serviceKey(service);
  return index.endpoints(key).map((endpoint) => {
    const own = endpoint.services[key]?.find(({ servicePort }) => servicePort === port);
    return { workload: endpoint, targetPort: own?.targetPort || port };
  });
}

function policiesOf(
  { workload, targetPort }: PolicyPlace,
  { view, destination: { service } }: WaypointQuestion,
): PolicySet {
  return view.policies(
    service === undefined ? { workload, targetPort } : { workload, targetPort, service },
  );
}

const ADDRESS_KINDS = [
  'destinationIps',
  'notDestinationIps',
  'destinationPorts',
  'notDestinationPorts',
] as const satisfies readonly (keyof L4Match)[];
const dependence = new WeakMap<PolicySet, boolean>();

/** Some rule asks for the address or port of the endpoint. */
function dependsOnEndpoint(set: PolicySet): boolean {
  let depends = dependence.get(set);
  if (depends === undefined) {
    depends = set.policies.some((policy) =>
      policy.rules.some((rule) => rule.clauses.some((clause) => clause.matches.some(asksForPlace))),
    );
    dependence.set(set, depends);
  }
  return depends;
}

/** A host with a port may be one that was sent without: then the endpoint's counts. */
function asksForPlace({ l4, l7 }: Match): boolean {
  return (
    ADDRESS_KINDS.some((kind) => l4[kind].length > 0) ||
    (l7 !== undefined && (l7.hosts.some(asksForPort) || l7.notHosts.some(asksForPort)))
  );
}
