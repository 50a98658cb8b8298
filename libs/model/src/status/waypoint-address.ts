/**
 * A waypoint that somebody else runs (`spec.addresses`), as callers find it: by a workload or service of that address.
 *
 * Callers are refused where they find none, so the Gateway says why and what to write.
 */
import type { Finding } from '@ambit/api';
import { BY_ADDRESS, type Derived } from '../derive.ts';
import { addressBucket } from '../service/services.ts';
import type { Condition } from '../types.ts';
import type { WaypointDefinition } from '../waypoint/waypoints.ts';
import type { WorkloadSpec } from '../workload/workloads.ts';
import { type ConditionReason, condition, listKeys, warning } from './conditions.ts';

export interface FoundByAddress {
  readonly programmed: Condition;
  readonly findings: readonly Finding[];
}

export function foundByAddress(
  definition: WaypointDefinition,
  generation: number,
  derived: Derived,
): FoundByAddress {
  const { destination } = definition.address;
  const lacking =
    destination.kind === 'address' &&
    derived.services.lookup(BY_ADDRESS, addressBucket(destination.address)).length === 0
      ? lackOf(destination.address.address, definition, derived)
      : undefined;
  if (lacking === undefined) {
    const text = 'somebody else runs it, at the address that it names';
    const programmed = condition('Programmed', 'True', 'Programmed', text, generation);
    return { programmed, findings: [] };
  }
  const { reason, message, fix } = lacking;
  const text = `${message}; its callers are refused`;
  return {
    programmed: condition('Programmed', 'False', reason, text, generation),
    findings: [warning('WAYPOINT_ADDRESS', 'spec.addresses[0].value', message, fix)],
  };
}

interface Lack {
  readonly reason: ConditionReason;
  readonly message: string;
  readonly fix: string;
}

function lackOf(
  address: string,
  { namespace, serviceAccount }: WaypointDefinition,
  { workloadSpecs }: Derived,
): Lack | undefined {
  const there = workloadSpecs.lookup(BY_ADDRESS, address);
  if (there.length === 0) {
    const message = `no workload and no service has address ${address}`;
    const fix = `write the waypoint's Pod, or a WorkloadEntry, with address ${address} and serviceAccount ${serviceAccount}`;
    return { reason: 'AddressNotFound', message, fix };
  }
  const own = there.filter(({ isHostNetwork }) => !isHostNetwork);
  if (own.length === 0) {
    const message = `${namesOf(there)} at ${address} is of the host's network, whose pods share an address and are not found by it`;
    const fix = `write the Pod without hostNetwork, or a WorkloadEntry with address ${address} and serviceAccount ${serviceAccount}`;
    return { reason: 'HostNetwork', message, fix };
  }
  const isItself = (one: WorkloadSpec): boolean =>
    one.namespace === namespace && one.serviceAccount === serviceAccount;
  if (own.some(isItself)) return undefined;
  const runsAs = own.map((one) => `${one.namespace}/${one.serviceAccount}`).join(', ');
  const message = `${namesOf(own)} at ${address} runs as ${runsAs}, and callers expect ${namespace}/${serviceAccount}`;
  const fix = `annotate the Gateway with gateway.istio.io/service-account, or run it as ${namespace}/${serviceAccount}`;
  return { reason: 'WrongServiceAccount', message, fix };
}

function namesOf(workloads: readonly WorkloadSpec[]): string {
  return listKeys(workloads.map(({ object }) => object).sort());
}
