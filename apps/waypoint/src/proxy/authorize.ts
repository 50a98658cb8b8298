/**
 * Every policy of a destination, L4 and L7, by selector, namespace, mesh and targetRefs, for one caller.
 *
 * Decided once before the route where all endpoints share their policies, and again for the endpoint only
 * where its own differ or a rule asks for its address.
 */
import { parseIp } from '@ambit/api';
import type { Authorization, Caller, Destination } from '@ambit/http';
import type { PolicySet } from '@ambit/model';
import { evaluate, type L4Match, type RequestAttributes, type Verdict } from '@ambit/policy';
import { serviceKey } from '@ambit/routing';
import type { MeshContext, Place, PlacePlan } from './mesh-context.ts';

/** Endpoints looked at before the route where they differ; beyond, each decides once chosen. */
const ENDPOINTS_LOOKED_AT_MAX = 64;
const NO_ADDRESS = new Uint8Array(4);

export interface Question {
  readonly mesh: MeshContext;
  readonly caller: Caller;
  /** Of the caller's address. */
  readonly sourceIp: Uint8Array;
  readonly destination: Destination;
  readonly request: RequestAttributes | undefined;
}

export function authorize(question: Question): Authorization {
  const decided = new Map<PolicySet, Verdict>();
  const { index } = question.mesh;
  const decide = ({ workload, targetPort }: Place): Verdict => {
    // An endpoint that was chosen earlier is judged by what it is now.
    const place = { workload: index.workloadByUid(workload.uid) ?? workload, targetPort };
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
  const { mesh, destination } = question;
  const { service, workload, port } = destination;
  const key = workload?.uid ?? (service === undefined ? '' : serviceKey(service));
  const { places, isCut } = mesh.plan(`${key} ${port}`, () => planOf(question));
  let denied: Verdict | undefined;
  for (const place of places) {
    const verdict = decide(place);
    if (verdict.allowed) {
      return verdict;
    }
    denied ??= verdict;
  }
  if (denied !== undefined && !isCut) {
    return denied;
  }
  if (service === undefined || denied !== undefined) {
    return { allowed: true, reason: 'no-policy', tried: [], audited: [], dryRun: [] };
  }
  const mapping = service.ports.find(({ servicePort }) => servicePort === port);
  const to = { ip: NO_ADDRESS, port: mapping?.targetPort || port };
  return evaluateSet(mesh.view.servicePolicies(service), question, to);
}

/** One place for each distinct set, and every place where a rule asks for its address or port. */
function planOf(question: Question): PlacePlan {
  const seen = new Set<PolicySet>();
  const places = placesOf(question).filter((place) => {
    const set = policiesOf(place, question);
    const isNew = dependsOnEndpoint(set) || !seen.has(set);
    seen.add(set);
    return isNew;
  });
  return {
    places: places.slice(0, ENDPOINTS_LOOKED_AT_MAX),
    isCut: places.length > ENDPOINTS_LOOKED_AT_MAX,
  };
}

function placesOf({ mesh, destination }: Question): readonly Place[] {
  const { workload, service, port } = destination;
  if (workload !== undefined) {
    return [{ workload, targetPort: port }];
  }
  if (service === undefined) {
    return [];
  }
  const key = serviceKey(service);
  return mesh.index.endpoints(key).map((endpoint) => {
    const own = endpoint.services[key]?.find(({ servicePort }) => servicePort === port);
    return { workload: endpoint, targetPort: own?.targetPort || port };
  });
}

function policiesOf({ workload, targetPort }: Place, { mesh, destination }: Question): PolicySet {
  return mesh.view.policies({
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
  { caller, sourceIp, request }: Question,
  to: { readonly ip: Uint8Array; readonly port: number },
): Verdict {
  const connection = {
    sourceIp,
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
