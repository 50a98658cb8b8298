/**
 * What the model says about each object: accepted or not, what it attaches to, what it lacks.
 */
import {
  type Finding,
  type MeshObject,
  type Namespace,
  type ObjectKey,
  STAND_IN,
} from '@ambit/api';
import { isGatewayProxy } from '../address/gateway-pods.ts';
import type { Derived } from '../derive.ts';
import type { Collection } from '../graph/collection.ts';
import type { Graph } from '../graph/graph.ts';
import { DEFAULT_REVISION } from '../objects/revision.ts';
import type { ObjectStatus } from '../types.ts';
import type { DerivedWaypoints } from '../waypoint/derive-waypoints.ts';
import { fallbackFindings } from '../waypoint/fallback.ts';
import { readBypass } from '../workload/bypass.ts';
import { isInMesh } from '../workload/enrolment.ts';
import { condition, warning } from './conditions.ts';
import { gatewayStanza, routeStanza } from './gateway-api/index.ts';
import { deriveHostUses } from './host-uses.ts';
import { deriveStandings } from './standings.ts';
import {
  acceptedCondition,
  REACHED_BY_NAMESPACE,
  REACHED_BY_POLICY,
  type Reached,
  type StatusContext,
  type StatusParts,
} from './status-context.ts';
import { destinationRuleStatus } from './status-destination-rules.ts';
import {
  authorizationPolicyStatus,
  peerAuthenticationStatus,
  requestAuthenticationStatus,
} from './status-policies.ts';
import { routeStatus, virtualServiceStatus } from './status-routes.ts';
import { gatewayStatus, serviceStatus } from './status-waypoints.ts';
import { deriveUncaptured } from './uncaptured.ts';
import { deriveBehindForeign, deriveCapturedWaypoints } from './unjudged.ts';
import { labelFindings } from './waypoint-labels.ts';

export function deriveStatuses(
  graph: Graph,
  derived: Derived,
  { isRuleApplied }: Pick<DerivedWaypoints, 'isRuleApplied'>,
): Collection<ObjectStatus> {
  const { sources } = derived;
  const standings = deriveStandings(graph, derived);
  const context: StatusContext = {
    derived,
    reached: deriveReached(graph, derived),
    standings: (key) => standings.get(key) ?? [],
    uncaptured: deriveUncaptured(graph, derived),
    behindForeign: deriveBehindForeign(graph, derived),
    capturedWaypoints: deriveCapturedWaypoints(graph, derived),
    hostUses: deriveHostUses(graph, derived),
    isRuleApplied,
  };
  const statusOf = <V extends MeshObject>(
    name: string,
    from: Collection<V>,
    fn: (object: V, context: StatusContext) => StatusParts | undefined,
  ): Collection<ObjectStatus> =>
    graph.map(`status-${name}`, from, (object, key) => {
      const parts = fn(object, context);
      const refused = sources.refused.get(key);
      if (refused !== undefined) return refusedStatus(key, refused, object);
      return parts === undefined ? undefined : withNotes(key, parts, sources.notes.get(key) ?? []);
    });
  const accepted = (object: MeshObject): StatusParts => ({
    conditions: [acceptedCondition(object)],
    findings: [],
  });
  const known = graph.merge('known-statuses', [
    statusOf('policies', sources.policies, authorizationPolicyStatus),
    statusOf('peers', sources.peers, peerAuthenticationStatus),
    statusOf('requests', sources.requests, requestAuthenticationStatus),
    statusOf('virtual-services', sources.virtualServices, virtualServiceStatus),
    statusOf('destination-rules', sources.destinationRules, destinationRuleStatus),
    statusOf('routes', sources.routes, inShape(routeStatus, routeStanza)),
    statusOf('gateways', sources.gateways, inShape(gatewayStatus, gatewayStanza)),
    statusOf('services', sources.services, serviceStatus),
    statusOf('service-entries', sources.serviceEntries, serviceStatus),
    statusOf('workload-entries', sources.workloadEntries, accepted),
    statusOf('namespaces', sources.namespaces, namespaceStatus),
    statusOf('pods', sources.pods, labelled),
    statusOf('nodes', sources.nodes, () => undefined),
  ]);
  const unknown = graph.map('refused-statuses', sources.refused, (findings, key) =>
    refusedStatus(key, findings, undefined),
  );
  const unsupported = graph.map('unsupported-statuses', sources.unsupported, (message, key) => ({
    key,
    conditions: [condition('Accepted', 'False', 'UnsupportedKind', message, 0)],
    findings: [],
  }));
  return graph.merge('statuses', [known, unknown, unsupported]);
}

/** Gateway API has a shape of its own for each of its kinds. */
function inShape<V>(
  statusOf: (object: V, context: StatusContext) => StatusParts,
  stanzaOf: (object: V, derived: Derived) => ObjectStatus['gatewayApi'],
): (object: V, context: StatusContext) => StatusParts {
  return (object, context) => {
    const gatewayApi = stanzaOf(object, context.derived);
    const parts = statusOf(object, context);
    return gatewayApi === undefined ? parts : { ...parts, gatewayApi };
  };
}

/** A field that is set aside shows in the condition too: whoever waits for `Accepted` reads it. */
function withNotes(key: ObjectKey, parts: StatusParts, notes: readonly Finding[]): ObjectStatus {
  const aside = notes.filter(({ code }) => code === 'UNSUPPORTED_FIELD');
  const conditions = parts.conditions.map((found) =>
    aside.length > 0 && found.type === 'Accepted' && found.reason === 'Accepted'
      ? {
          ...found,
          reason: 'UnsupportedField',
          message: aside.map(({ path, message }) => `${path} ${message}`).join('; '),
        }
      : found,
  );
  const { gatewayApi } = parts;
  const findings = [...notes, ...parts.findings];
  return { key, conditions, findings, ...(gatewayApi === undefined ? {} : { gatewayApi }) };
}

/** A refused version says so on the object, also while an earlier one is in force. */
function refusedStatus(
  key: ObjectKey,
  findings: readonly Finding[],
  inForce: MeshObject | undefined,
): ObjectStatus {
  const first = findings.find(({ severity }) => severity === 'error') ?? findings[0];
  const what =
    first === undefined ? 'invalid' : `${first.path === '' ? key : first.path}: ${first.message}`;
  const message = inForce === undefined ? what : `${what}; ${meanwhileOf(inForce)}`;
  const generation = inForce?.metadata.generation ?? 0;
  return {
    key,
    conditions: [condition('Accepted', 'False', 'Invalid', message, generation)],
    findings,
  };
}

function meanwhileOf({ metadata }: MeshObject): string {
  return metadata.annotations[STAND_IN] === undefined
    ? 'the last accepted version stays in force'
    : 'no version was accepted yet, so until it is fixed everything in its scope that it could refuse is refused';
}

/** Gateways' proxies that nobody stands before are left out: policies on them are their own affair. */
function deriveReached(graph: Graph, derived: Derived): Collection<Reached> {
  // A mesh that is alone has nobody else who would decide, whatever is left on a pod.
  const isBeside = (derived.options.revision ?? DEFAULT_REVISION) !== DEFAULT_REVISION;
  return graph
    .map('reached', derived.attachments, ({ selectedBy }, uid): Reached | undefined => {
      const workload = derived.workloadSpecs.get(uid);
      const isOurs = workload !== undefined && workload.kind !== 'EndpointSlice';
      if (!isOurs || isGatewayProxy(workload, derived)) return undefined;
      const { object, namespace } = workload;
      const isOwn = isInMesh(workload, derived);
      const isElsewhere = !isOwn && isBeside && (workload.isTunnelled || workload.hasSidecar);
      return { object, namespace, selectedBy, isInMesh: isOwn, isElsewhere };
    })
    .addIndex(REACHED_BY_POLICY, (reached) => reached.selectedBy)
    .addIndex(REACHED_BY_NAMESPACE, (reached) => [reached.namespace]);
}

/** Who opened it, why and until when is said for as long as the annotations are there. */
function namespaceStatus(namespace: Namespace, context: StatusContext): StatusParts | undefined {
  const { name, annotations, generation } = namespace.metadata;
  const { bypass, findings } = readBypass(annotations);
  const labels = labelled(namespace, context);
  if (bypass === undefined) {
    return findings.length === 0
      ? labels
      : {
          conditions: labels?.conditions ?? [],
          findings: [...findings, ...(labels?.findings ?? [])],
        };
  }
  const isOpen = context.derived.sources.bypassed.get(name) === true;
  const { by, reason, untilMs } = bypass;
  const text = `${isOpen ? 'out of the mesh until' : 'was out of the mesh until'} ${new Date(untilMs).toISOString()}, by ${by}: ${reason}`;
  const opened = condition(
    'Bypassed',
    isOpen ? 'True' : 'False',
    isOpen ? 'BreakGlass' : 'BypassOver',
    text,
    generation,
  );
  return {
    conditions: [opened, ...(labels?.conditions ?? [])],
    findings: [
      ...(isOpen ? [warning('BYPASSED', 'metadata.annotations', text, END_BYPASS)] : []),
      ...(labels?.findings ?? []),
    ],
  };
}

const END_BYPASS = 'end it: meshctl bypass NAMESPACE --end';

/** Of objects that have nothing else to say. */
function labelled(object: MeshObject, { derived }: StatusContext): StatusParts | undefined {
  const missing = labelFindings(object, derived);
  const findings = object.kind === 'Pod' ? missing : [...missing, ...fallbackFindings(object)];
  const [first] = missing;
  if (findings.length === 0) return undefined;
  if (first === undefined) return { conditions: [], findings };
  const { generation } = object.metadata;
  const text = `${first.path} ${first.message}`;
  return {
    conditions: [condition('WaypointReady', 'False', 'WaypointNotFound', text, generation)],
    findings,
  };
}
