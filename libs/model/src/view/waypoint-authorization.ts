/**
 * Every policy of a destination, L4 and L7, by selector, namespace, mesh and targetRefs, for one caller, as
 * a waypoint decides it and as `meshctl why` explains it.
 *
 * Decided before the route, where it denies only if every endpoint would deny, and again for the endpoint
 * that was chosen. Endpoints that share a set share the verdict, unless a rule asks for their address.
 */
import {
  type ConnectionAttributes,
  evaluate,
  type PolicyInput,
  type RequestAttributes,
  type Verdict,
} from '@ambit/policy';

import type { MeshService, Workload } from '../types.ts';
import type { MeshIndex } from './mesh-index.ts';
import {
  addressOf,
  NO_ADDRESS,
  type PlacePlan,
  type PlannedPlace,
  type PolicyPlace,
  type PolicyPlans,
  plannedPlace,
  planOf,
} from './policy-plans.ts';
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

/** A verdict with what it was made of. */
export interface PolicyDecision {
  readonly verdict: Verdict;
  readonly set: PolicySet;
  readonly input: PolicyInput;
}

export interface WaypointAuthorization {
  /** Denied: for every endpoint. Allowed: for one at least, so the chosen one is asked again. */
  readonly beforeRoute: PolicyDecision;
  forEndpoint(place: PolicyPlace): PolicyDecision;
}

/** What a set says of that. Where lists of it decide apart, and one of them refuses, with that list and the notes of all. */
export function decideSet(set: PolicySet, input: PolicyInput): PolicyDecision {
  const verdict = evaluate(set.policies, input, set);
  // Without an ALLOW that opened, there is none whose reach is in question.
  if (set.apart === undefined || verdict.reason !== 'allow') return { verdict, set, input };
  for (const policies of set.apart) {
    const alone = evaluate(policies, input);
    if (!alone.allowed) {
      const { audited, dryRun } = verdict;
      return { verdict: { ...alone, audited, dryRun }, set: { policies, missing: [] }, input };
    }
  }
  return { verdict, set, input };
}

const NO_POLICIES: PolicySet = { policies: [], missing: [] };

export function authorizeAtWaypoint(question: WaypointQuestion): WaypointAuthorization {
  return new Authorization(question);
}

class Authorization implements WaypointAuthorization {
  readonly beforeRoute: PolicyDecision;
  readonly #question: WaypointQuestion;
  readonly #plan: PlacePlan;
  readonly #planVersion: number | undefined;
  readonly #sourceIp: Uint8Array;
  /** What was decided last of a set that endpoints share. */
  #shared: { readonly set: PolicySet; readonly decision: PolicyDecision } | undefined;

  constructor(question: WaypointQuestion) {
    const { plans, caller } = question;
    this.#question = question;
    this.#plan = plans?.get(question) ?? planOf(question);
    this.#planVersion = plans?.version;
    this.#sourceIp = addressOf(caller, caller.ip);
    this.beforeRoute = this.#beforeRoute();
  }

  forEndpoint(place: PolicyPlace): PolicyDecision {
    return this.#decide(this.#planned(place));
  }

  #beforeRoute(): PolicyDecision {
    const { view, destination } = this.#question;
    const { service, port } = destination;
    const { places, isCut } = this.#plan;
    let denied: PolicyDecision | undefined;
    for (const place of places) {
      const decision = this.#decide(place);
      if (decision.verdict.allowed) return decision;
      denied ??= decision;
    }
    if (denied !== undefined && !isCut) return denied;
    if (service === undefined || denied !== undefined) {
      return this.#decideSet(NO_POLICIES, NO_ADDRESS, port);
    }
    const mapping = service.ports.find(({ servicePort }) => servicePort === port);
    const set = view.servicePolicies(service);
    return this.#decideSet(set, NO_ADDRESS, mapping?.targetPort || port);
  }

  #planned(place: PolicyPlace): PlannedPlace {
    const question = this.#question;
    if (this.#planVersion === undefined || this.#planVersion !== question.plans?.version) {
      // An endpoint that was chosen earlier is judged by what it is now.
      return plannedPlace(place, question);
    }
    let planned = this.#plan.known.get(place);
    if (planned === undefined) {
      planned = plannedPlace(place, question);
      this.#plan.known.set(place, planned);
    }
    return planned;
  }

  #decide({ set, ip, port, isShared }: PlannedPlace): PolicyDecision {
    if (isShared && this.#shared?.set === set) return this.#shared.decision;
    const decision = this.#decideSet(set, ip, port);
    if (isShared) this.#shared = { set, decision };
    return decision;
  }

  #decideSet(set: PolicySet, ip: Uint8Array | undefined, port: number): PolicyDecision {
    const { caller, request, destination } = this.#question;
    const connection: ConnectionAttributes = {
      sourceIp: this.#sourceIp,
      destinationIp: ip,
      destinationPort: port,
      askedPort: destination.port,
      source: caller,
    };
    const input = request === undefined ? { connection } : { connection, request };
    return decideSet(set, input);
  }
}
