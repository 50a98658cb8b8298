/**
 * A waypoint that somebody else runs, and what keeps callers from it: an address at which nobody is, or, of one behind its agent, a
 * binding that says nothing known and pods that no agent stands before.
 */
import { type Finding, type Gateway, INBOUND_BINDING, INBOUND_BINDINGS } from '@ambit/api';
import { BY_GATEWAY, type Derived } from '../derive.ts';
import { classKey } from '../objects/keys.ts';
import { DATAPLANE_MODE, GATEWAY_NAME, SERVICE_ACCOUNT } from '../objects/labels.ts';
import { type BehindAgent, inboundBindingOf } from '../waypoint/behind-agent.ts';
import type { WaypointDefinition } from '../waypoint/waypoints.ts';
import { isInMesh } from '../workload/enrolment.ts';
import { type ConditionReason, condition, listKeys, warning } from './conditions.ts';
import { type FoundByAddress, foundByAddress } from './waypoint-address.ts';

const PATH = `metadata.annotations["${INBOUND_BINDING}"]`;
const SHOWN_MAX = 80;

/** `Programmed` of its Gateway, and what is to be done. */
export function runElsewhere(
  definition: WaypointDefinition,
  generation: number,
  derived: Derived,
): FoundByAddress {
  const { behindAgent } = definition;
  if (behindAgent === undefined) return foundByAddress(definition, generation, derived);
  const lacking = lackOfBinding(behindAgent) ?? lackOfPods(definition, derived);
  if (lacking !== undefined) {
    const { reason, message, finding } = lacking;
    const text = `${message}; its callers are refused`;
    const programmed = condition('Programmed', 'False', reason, text, generation);
    return { programmed, findings: finding === undefined ? [] : [finding] };
  }
  const found = foundByAddress(definition, generation, derived);
  if (found.programmed.status !== 'True') return found;
  const { protocol, port } = behindAgent.tunnel ?? { protocol: 'NONE', port: 0 };
  const where = port === 0 ? 'at the port that was asked for' : `at port ${port}`;
  const how = protocol === 'PROXY' ? 'behind a header of PROXY protocol' : 'as it comes';
  const text = `the agents of its pods hand it what comes through tunnels, ${where}, ${how}`;
  return {
    programmed: condition('Programmed', 'True', 'Programmed', text, generation),
    findings: [],
  };
}

/** Of a waypoint that is made here: its class has a binding for others. */
export function unusedBinding(gateway: Gateway, { sources }: Derived): readonly Finding[] {
  const found = inboundBindingOf(gateway, sources.gatewayClasses.get(classKey(gateway)));
  if (found === undefined || found.tunnel?.protocol === 'NONE') return [];
  const message = `${found.object} ${PATH} ${shown(found)} does not hold here: the waypoint that is made ends its tunnels itself`;
  const fix = 'write spec.addresses with the address of a proxy that somebody else runs';
  return [warning('WAYPOINT_BINDING_UNUSED', 'spec.addresses', message, fix)];
}

interface Lack {
  readonly reason: ConditionReason;
  readonly message: string;
  readonly finding?: Finding;
}

function lackOfBinding(behind: BehindAgent): Lack | undefined {
  if (behind.tunnel !== undefined) return undefined;
  const message = `${behind.object} ${PATH} ${shown(behind)} does not say how the proxy takes what comes through tunnels`;
  const fix = 'write PROXY/15088, with the port on which the proxy reads PROXY protocol';
  const finding = {
    ...warning('WAYPOINT_BINDING', PATH, message, fix),
    found: shown(behind),
    allowed: INBOUND_BINDINGS,
  };
  return { reason: 'InvalidBinding', message, finding };
}

function lackOfPods(definition: WaypointDefinition, derived: Derived): Lack | undefined {
  const { key, namespace, name, serviceAccount } = definition;
  const pods = derived.workloadSpecs.lookup(BY_GATEWAY, key);
  const lack = (reason: ConditionReason, message: string, fix: string): Lack => ({
    reason,
    message,
    finding: warning('WAYPOINT_BINDING', PATH, message, fix),
  });
  if (pods.length === 0) {
    const message = `no pod of namespace ${namespace} has the label ${GATEWAY_NAME}: ${name}`;
    return lack('InstanceNotFound', message, 'label the pods of the proxy with it');
  }
  const enrolled = pods.filter((pod) => isInMesh(pod, derived));
  if (enrolled.length === 0) {
    const names = listKeys(pods.map(({ object }) => object).sort());
    const message = `no agent stands before ${names}, so nobody ends its tunnels`;
    return lack('NotEnrolled', message, `enrol them (${DATAPLANE_MODE}: ambient)`);
  }
  const own = enrolled.filter((pod) => pod.serviceAccount === serviceAccount);
  if (own.length === 0) {
    const runsAs = [...new Set(enrolled.map((pod) => pod.serviceAccount))].sort().join(', ');
    const message = `its pods run as ${runsAs}, and callers expect ${serviceAccount}`;
    const fix = `annotate the Gateway with ${SERVICE_ACCOUNT}, or run them as ${serviceAccount}`;
    return lack('WrongServiceAccount', message, fix);
  }
  return own.some(({ isHealthy }) => isHealthy)
    ? undefined
    : { reason: 'Pending', message: 'it has no ready instance yet' };
}

function shown({ written }: BehindAgent): string {
  return JSON.stringify(written.slice(0, SHOWN_MAX));
}
