/**
 * Which services a workload serves, and on which of its ports.
 */

import type { Collection } from '../graph/collection.ts';
import { compareText, labelBuckets, selects } from '../objects/keys.ts';
import type { PortMapping } from '../types.ts';
import type { WorkloadSpec } from '../workload/workloads.ts';
import type { ServicePortSpec, ServiceSpec } from './services.ts';
import { BY_WORKLOAD, type SliceMember } from './slices.ts';

export const SERVICES_BY_SELECTOR = 'selector';

export type Memberships = Readonly<Record<string, readonly PortMapping[]>>;

/** Keys are sorted, so that two ways to the same result are equal. */
export function membershipsOf(
  workload: WorkloadSpec,
  services: Collection<ServiceSpec>,
  slices: Collection<SliceMember>,
): Memberships {
  const found =
    workload.inlineOf === undefined
      ? selectedServices(workload, services)
      : workload.inlineOf.flatMap((key) => {
          const service = services.get(key);
          return service?.object === workload.object ? [service] : [];
        });
  const members = [
    ...found.map((service) => [service.key, portsOn(workload, service)] as const),
    ...slices
      .lookup(BY_WORKLOAD, workload.uid)
      .flatMap((member) => slicePorts(workload, member, services)),
  ];
  return Object.fromEntries(members.toSorted(([a], [b]) => compareText(a, b)));
}

/** Those of its own namespace. Only they may bind it: who makes a slice of anybody's addresses decides nothing about them. */
export function ownMemberships(
  { namespace }: WorkloadSpec,
  memberships: Memberships | undefined,
): readonly string[] {
  return Object.keys(memberships ?? {}).filter((key) => key.startsWith(`${namespace}/`));
}

/** Ports as the service's own entry shows them: 0 where each endpoint resolves a name. */
export function servicePorts(service: ServiceSpec): readonly PortMapping[] {
  return service.ports.map((port) => ({
    servicePort: port.servicePort,
    targetPort: typeof port.target === 'number' ? port.target : 0,
    appProtocol: port.appProtocol,
  }));
}

function selectedServices(
  workload: WorkloadSpec,
  services: Collection<ServiceSpec>,
): readonly ServiceSpec[] {
  return labelBuckets(workload.namespace, workload.labels)
    .flatMap((bucket) => services.lookup(SERVICES_BY_SELECTOR, bucket))
    .filter((service) => isOfAccount(workload, service))
    .filter((service) => selects(service.selector ?? {}, workload.labels));
}

function slicePorts(
  workload: WorkloadSpec,
  { service: key, ports }: SliceMember,
  services: Collection<ServiceSpec>,
): readonly (readonly [string, readonly PortMapping[]])[] {
  const service = services.get(key);
  if (service === undefined || !isOfAccount(workload, service)) return [];
  const target = ({ name, isTcp }: ServicePortSpec): number | undefined =>
    ports.find((port) => port.name === name && (port.protocol === 'TCP') === isTcp)?.port;
  return [[key, mappings(service, target)]];
}

function isOfAccount({ serviceAccount }: WorkloadSpec, { account }: ServiceSpec): boolean {
  return account === undefined || account === serviceAccount;
}

/** A port whose name the workload does not have is not served by it. */
function portsOn(workload: WorkloadSpec, service: ServiceSpec): readonly PortMapping[] {
  return mappings(service, (port) => targetOn(workload, port));
}

/** One number counts once. */
function mappings(
  service: ServiceSpec,
  targetOf: (port: ServicePortSpec) => number | undefined,
): readonly PortMapping[] {
  const ports = new Map<number, PortMapping>();
  for (const port of service.ports) {
    const targetPort = targetOf(port);
    if (targetPort === undefined || (ports.has(port.servicePort) && !port.isTcp)) continue;
    ports.set(port.servicePort, {
      servicePort: port.servicePort,
      targetPort,
      appProtocol: 'UNKNOWN',
    });
  }
  return [...ports.values()];
}

function targetOn(workload: WorkloadSpec, port: ServicePortSpec): number | undefined {
  if (typeof port.target === 'string') return workload.namedPorts[port.target];
  const isEntry = workload.kind !== 'Pod';
  return (isEntry ? workload.namedPorts[port.name] : undefined) ?? port.target;
}
