/**
 * Which services a workload serves, and on which of its ports.
 */

import type { Collection } from '../graph/collection.ts';
import { labelBuckets, selects } from '../objects/keys.ts';
import type { PortMapping } from '../types.ts';
import type { WorkloadSpec } from '../workload/workloads.ts';
import type { ServicePortSpec, ServiceSpec } from './services.ts';

export const SERVICES_BY_SELECTOR = 'selector';

export type Memberships = Readonly<Record<string, readonly PortMapping[]>>;

/** Keys are sorted, so that two ways to the same result are equal. */
export function membershipsOf(
  workload: WorkloadSpec,
  services: Collection<ServiceSpec>,
): Memberships {
  const found =
    workload.inlineOf === undefined
      ? selectedServices(workload, services)
      : workload.inlineOf.flatMap((key) => {
          const service = services.get(key);
          return service?.object === workload.object ? [service] : [];
        });
  const memberships: Record<string, readonly PortMapping[]> = {};
  for (const service of found.toSorted((a, b) => (a.key < b.key ? -1 : 1))) {
    memberships[service.key] = portsOn(workload, service);
  }
  return memberships;
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
    .filter(({ account }) => account === undefined || account === workload.serviceAccount)
    .filter((service) => selects(service.selector ?? {}, workload.labels));
}

/** A port whose name the workload does not have is not served by it. One number counts once. */
function portsOn(workload: WorkloadSpec, service: ServiceSpec): readonly PortMapping[] {
  const ports = new Map<number, PortMapping>();
  for (const port of service.ports) {
    const targetPort = targetOn(workload, port);
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
