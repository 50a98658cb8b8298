/**
 * Every policy of a destination, L4 and L7, by selector, namespace, mesh and targetRefs, for one caller.
 *
 * Decided once before the route where all endpoints share their policies, and again for the endpoint only
 * where its own differ or a rule asks for its address.
 */
import { parseIp } from '@ambit/api';
import type { Authorization, Caller, Destination, MeshEndpoint } from '@ambit/http';
import type { MeshIndex, PolicySet, WaypointView, Workload } from '@ambit/model';
import { evaluate, type L4Match, type RequestAttributes, type Verdict } from '@ambit/policy';
import { serviceKey } from '@ambit/routing';

/** Endpoints looked at before the route where they differ; beyond, each decides once chosen. */
const ENDPOINTS_LOOKED_AT_MAX = 64;
const NO_ADDRESS = new Uint8Array(4);

interface Question {
  readonly view: WaypointView;
  readonly index: MeshIndex;
  readonly caller: Caller;
  readonly destination: Destination;
  readonly request: RequestAttributes | undefined;
}

interface Place {
  readonly workload: Workload;
  readonly targetPort: number;
}

export function authorize(question: Question): Authorization {
  const decided = new Map<PolicySet, Verdict>();
  const decide = (place: Place): Verdict => {
    const set = policiesOf(place, question);
    const known = dependsOnEndpoint(set) ? undefined : decided.get(set);
    const verdict = known ?? decideSet(set, place, question);
    decided.set(set, verdict);
    return verdict;
  };
  return { verdict: beforeRoute(question, decide), forEndpoint: decide };
}

/** Denied only if every endpoint would deny: the route may choose among them. */
function beforeRoute(question: Question, decide: (place: Place) => Verdict): Verdict {
  const { view, destination } = question;
  const places = placesOf(question);
  let denied: Verdict | undefined;
  for (const place of places.slice(0, ENDPOINTS_LOOKED_AT_MAX)) {
    const verdict = decide(place);
    if (verdict.allowed) {
      return verdict;
    }
    denied ??= verdict;
  }
  if (denied !== undefined && places.length <= ENDPOINTS_LOOKED_AT_MAX) {
    return denied;
  }
  if (destination.service === undefined || denied !== undefined) {
    return { allowed: true, reason: 'no-policy', tried: [], audited: [], dryRun: [] };
  }
  const port = destination.service.ports.find((p) => p.servicePort === destination.port);
  return evaluateSet(view.servicePolicies(destination.service), question, {
    ip: NO_ADDRESS,
    port: port?.targetPort || destination.port,
  });
}

/** One place for each distinct set is enough where no rule asks for an address. */
function placesOf({ index, destination }: Question): readonly Place[] {
  const { workload, service, port } = destination;
  if (workload !== undefined) {
    return [{ workload, targetPort: port }];
  }
  if (service === undefined) {
    return [];
  }
  const key = serviceKey(service);
  return index.endpoints(key).map((endpoint) => {
    const own = endpoint.services[key]?.find(({ servicePort }) => servicePort === port);
    return { workload: endpoint, targetPort: own?.targetPort || port };
  });
}

function policiesOf({ workload, targetPort }: Place, { view, destination }: Question): PolicySet {
  return view.policies({
    workload,
    targetPort,
    ...(destination.service === undefined ? {} : { service: destination.service }),
  });
}

function decideSet(set: PolicySet, place: Place, question: Question): Verdict {
  const [address = ''] = place.workload.addresses;
  return evaluateSet(set, question, { ip: parseIp(address) ?? NO_ADDRESS, port: place.targetPort });
}

function evaluateSet(
  set: PolicySet,
  { caller, request }: Question,
  to: { readonly ip: Uint8Array; readonly port: number },
): Verdict {
  const connection = {
    sourceIp: parseIp(caller.ip) ?? NO_ADDRESS,
    destinationIp: to.ip,
    destinationPort: to.port,
    source: caller,
  };
  return evaluate(set.policies, request === undefined ? { connection } : { connection, request }, {
    missing: set.missing,
  });
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

export type { MeshEndpoint };
