/**
 * What a tunnel's authority means to this waypoint, and whether it is this waypoint's to serve.
 *
 * A waypoint holds the policies of its own scope and no others. Serving anything else would serve it
 * without its policies, so what is not bound here is refused.
 */
import type { Destination } from '@ambit/http';
import type {
  AppProtocol,
  GatewayAddress,
  MeshIndex,
  MeshService,
  WaypointView,
  Workload,
} from '@ambit/model';
import { serviceKey } from '@ambit/routing';
import type { WorkerConfig } from './messages.ts';

export type DestinationResult =
  | { readonly kind: 'destination'; readonly destination: Destination }
  | { readonly kind: 'refused'; readonly text: string };

interface Scope {
  readonly view: WaypointView;
  readonly index: MeshIndex;
  readonly config: WorkerConfig;
}

export function destinationOf(
  authority: string,
  clientNamespace: string,
  scope: Scope,
): DestinationResult {
  const target = scope.view.target(authority, clientNamespace);
  switch (target.kind) {
    case 'unknown':
      return { kind: 'refused', text: target.text };
    case 'service':
      return toService(authority, target, scope);
    case 'workload':
      return toWorkload(authority, target, scope);
  }
}

function toService(
  authority: string,
  { service, port }: { readonly service: MeshService; readonly port: number },
  scope: Scope,
): DestinationResult {
  if (!ownsService(service, scope)) {
    return notOurs(service.hostname, scope);
  }
  const mapping = service.ports.find(({ servicePort }) => servicePort === port);
  if (mapping === undefined) {
    return { kind: 'refused', text: `service ${service.hostname} has no port ${port}` };
  }
  return {
    kind: 'destination',
    destination: { kind: 'service', authority, service, port, protocol: mapping.appProtocol },
  };
}

function toWorkload(
  authority: string,
  { workload, port }: { readonly workload: Workload; readonly port: number },
  scope: Scope,
): DestinationResult {
  const isBound = isUs(workload.waypoint, scope) || isGuardedByUs(workload, scope);
  if (!isBound) {
    return notOurs(`${workload.namespace}/${workload.name}`, scope);
  }
  return {
    kind: 'destination',
    destination: {
      kind: 'workload',
      authority,
      workload,
      port,
      protocol: workloadProtocol(workload, port),
    },
  };
}

/** What the services of the workload say about the port. */
function workloadProtocol(workload: Workload, port: number): AppProtocol {
  for (const mappings of Object.values(workload.services)) {
    const mapping = mappings.find(({ targetPort }) => targetPort === port);
    if (mapping !== undefined && mapping.appProtocol !== 'UNKNOWN') {
      return mapping.appProtocol;
    }
  }
  return 'UNKNOWN';
}

/** Bound by its own resource, or by the guard of a workload of its namespace behind it: others are not behind it because it says so. */
function ownsService(service: MeshService, scope: Scope): boolean {
  return (
    isUs(service.waypoint, scope) ||
    scope.index
      .endpoints(serviceKey(service))
      .some(
        (workload) =>
          workload.namespace === service.namespace &&
          (isUs(workload.waypoint, scope) || isGuardedByUs(workload, scope)),
      )
  );
}

function isGuardedByUs(workload: Workload, { config }: Scope): boolean {
  return workload.guard?.waypointIdentities.includes(config.identity) ?? false;
}

function isUs(waypoint: GatewayAddress | undefined, { index, config }: Scope): boolean {
  if (waypoint === undefined) {
    return false;
  }
  const { namespace, serviceName, clusterDomain } = config;
  const hostname = `${serviceName}.${namespace}.svc.${clusterDomain}`;
  if (waypoint.destination.kind === 'hostname') {
    const to = waypoint.destination.hostname;
    return to.namespace === namespace && to.hostname === hostname;
  }
  const { network, address } = waypoint.destination.address;
  const service = index.service(namespace, hostname);
  const isService = service?.addresses.some(
    (ip) => ip.network === network && ip.address === address,
  );
  const workload = index.workloadByAddress(network, address);
  return (
    isService === true ||
    `spiffe://${workload?.trustDomain}/ns/${workload?.namespace}/sa/${workload?.serviceAccount}` ===
      config.identity
  );
}

function notOurs(what: string, { config }: Scope): DestinationResult {
  return {
    kind: 'refused',
    text: `"${what}" is not bound to waypoint ${config.namespace}/${config.name}`,
  };
}
