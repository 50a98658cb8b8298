/**
 * Every policy of a destination, L4 and L7, by selector, namespace, mesh and targetRefs, for one caller, as
 * a waypoint decides it and as `meshctl why` explains it.
 *
 * Decided before the route, where it denies only if every endpoint would deny, and again for the endpoint
 * that was chosen. Endpoints that share a set share the verdict, unless a rule asks for their address.
 */
import { parseIp } from '@ambit/api';
import {
  type ConnectionAttributes,
  evaluate,
  type L4Match,
  type PolicyInput,
  type RequestAttributes,
  type Verdict,
} from '@ambit/policy';
import { serviceKey } from '@ambit/routing';

import type { MeshService, Workload } from '../types.ts';
import type { MeshIndex } from './mesh-index.ts';
import type { PolicySet } from './scoped-policies.ts';
import type { WaypointView } from './waypoint-view.ts';

export interface WaypointQuestion {
  readonly view: WaypointView;
  readonly index: MeshIndex;
  readonly caller: NonNullable<ConnectionAttributes['source']> & { readonly ip: string };
  /** Exactly one of service and workload. */
  readonly destination: {
    readonly service?: MeshService;
    readonly workload?: Workload;
    /** Service port, or the workload's own. */
    readonly port: number;
  };
  /** Absent: a TCP connection. */
  readonly request?: RequestAttributes | undefined;
  /** Kept by who asks often. */
  readonly plans?: PolicyPlans;
}

interface PlacePlan {
  /** Every place whose decision may differ from the others'. */
  readonly places: readonly PolicyPlace[];
  /** There are more than are looked at before the route. */
  readonly isCut: boolean;
}

/** Which endpoints of a destination have to be asked; made once a destination and change. */
export class PolicyPlans {
  readonly #plans = new Map<string, PlacePlan>();

  /** Call after every change of addresses or objects. */
  clear(): void {
    this.#plans.clear();
  }

  get(key: string, make: () => PlacePlan): PlacePlan {
    const known = this.#plans.get(key);
    if (known !== undefined) return known;
    const plan = make();
    this.#plans.set(key, plan);
    return plan;
  }
}

/** One endpoint: a workload and its own port. */
export interface PolicyPlace {
  readonly workload: Workload;
  readonly targetPort: number;
}

/** A verdict with what it was made of. */
export interface PolicyDecision {
  readonly verdict: Verdict;
  readonly set: PolicySet;
  readonly input: PolicyInput;
}

export interface WaypointAuthorization {
  /** Denied: for every endpoint. Allowed: for one at least, so the chosen one is asked again. */
  readonly beforeRoute: PolicyDecision;
  readonly forEndpoint: (place: PolicyPlace) => PolicyDecision;
}

/** Endpoints looked at before the route where they differ; beyond, each decides once chosen. */
const PLACES_LOOKED_AT_MAX = 64;
const NO_ADDRESS = new Uint8Array(4);
const addresses = new WeakMap<object, Uint8Array>();

/** `text`, which `owner` always has, in bytes: read once. */
function addressOf(owner: object, text: string): Uint8Array {
  let address = addresses.get(owner);
  if (address === undefined) {
    address = parseIp(text) ?? NO_ADDRESS;
    addresses.set(owner, address);
  }
  return address;
}

const NO_POLICIES: PolicySet = { policies: [], missing: [] };

export function authorizeAtWaypoint(question: WaypointQuestion): WaypointAuthorization {
  const decided = new Map<PolicySet, PolicyDecision>();
  const sourceIp = addressOf(question.caller, question.caller.ip);
  const decide = (set: PolicySet, to: { readonly ip: Uint8Array; readonly port: number }) =>
    decideSet(set, question, { sourceIp, to });
  const forEndpoint = ({ workload, targetPort }: PolicyPlace): PolicyDecision => {
    // An endpoint that was chosen earlier is judged by what it is now.
    const place = { workload: question.index.workloadByUid(workload.uid) ?? workload, targetPort };
    const set = policiesOf(place, question);
    const known = dependsOnEndpoint(set) ? undefined : decided.get(set);
    if (known !== undefined) return known;
    const [address = ''] = place.workload.addresses;
    const ip = addressOf(place.workload, address);
    const decision = decide(set, { ip, port: targetPort });
    decided.set(set, decision);
    return decision;
  };
  return { beforeRoute: decideBeforeRoute(question, { forEndpoint, decide }), forEndpoint };
}

function decideBeforeRoute(
  question: WaypointQuestion,
  by: {
    readonly forEndpoint: (place: PolicyPlace) => PolicyDecision;
    readonly decide: (
      set: PolicySet,
      to: { readonly ip: Uint8Array; readonly port: number },
    ) => PolicyDecision;
  },
): PolicyDecision {
  const { view, destination, plans } = question;
  const { service, workload, port } = destination;
  const key = `${workload?.uid ?? (service === undefined ? '' : serviceKey(service))} ${port}`;
  const { places, isCut } = plans?.get(key, () => planOf(question)) ?? planOf(question);
  let denied: PolicyDecision | undefined;
  for (const place of places) {
    const decision = by.forEndpoint(place);
    if (decision.verdict.allowed) return decision;
    denied ??= decision;
  }
  if (denied !== undefined && !isCut) return denied;
  if (service === undefined || denied !== undefined) {
    return by.decide(NO_POLICIES, { ip: NO_ADDRESS, port });
  }
  const mapping = service.ports.find(({ servicePort }) => servicePort === port);
  return by.decide(view.servicePolicies(service), {
    ip: NO_ADDRESS,
    port: mapping?.targetPort || port,
  });
}

/** One place for each distinct set, and every place where a rule asks for its address or port. */
function planOf(question: WaypointQuestion): PlacePlan {
  const seen = new Set<PolicySet>();
  const places = placesOf(question).filter((place) => {
    const set = policiesOf(place, question);
    const isNew = dependsOnEndpoint(set) || !seen.has(set);
    seen.add(set);
    return isNew;
  });
  return {
    places: places.slice(0, PLACES_LOOKED_AT_MAX),
    isCut: places.length > PLACES_LOOKED_AT_MAX,
  };
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

function decideSet(
  set: PolicySet,
  { caller, request }: WaypointQuestion,
  {
    sourceIp,
    to,
  }: {
    readonly sourceIp: Uint8Array;
    readonly to: { readonly ip: Uint8Array; readonly port: number };
  },
): PolicyDecision {
  const connection: ConnectionAttributes = {
    sourceIp,
    destinationIp: to.ip,
    destinationPort: to.port,
    source: caller,
  };
  const input = request === undefined ? { connection } : { connection, request };
  return { verdict: evaluate(set.policies, input, { missing: set.missing }), set, input };
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
      policy.rules.some((rule) =>
        rule.clauses.some((clause) =>
          clause.matches.some(({ l4 }) => ADDRESS_KINDS.some((kind) => l4[kind].length > 0)),
        ),
      ),
    );
    dependence.set(set, depends);
  }
  return depends;
}
