/**
 * Whose an address is that a workload and a service both have.
 *
 * Pods and Services have their addresses from the cluster. Those of a ServiceEntry or a WorkloadEntry are what somebody wrote who may
 * write such entries in some namespace. So an entry takes no calls from what another namespace has; callers of its own namespace
 * hear it first, as that namespace decides where its calls go.
 */
import { isPod, type ViewService, type ViewWorkload } from '../mesh-view.ts';

/** The one that was dialled, and from where. */
export interface DialledAddress {
  readonly network: string;
  /** Canonical text. */
  readonly ip: string;
  readonly clientNamespace: string;
}

/** Whether the service counts beside the workload. Not against a pod of another namespace: the cluster gives no Service such an address. */
export function isServiceMeant(
  service: ViewService,
  workload: ViewWorkload | undefined,
  { clientNamespace }: Pick<DialledAddress, 'clientNamespace'>,
): boolean {
  if (workload === undefined || !isPod(workload)) return true;
  return service.namespace === workload.namespace || service.namespace === clientNamespace;
}

/**
 * Whether calls follow the waypoint of the workload. An entry at the very address of another namespace's service would take all its
 * callers to a waypoint of its own; inside of a range it is the more specific of the two.
 */
export function isWaypointHeard(
  workload: ViewWorkload,
  service: ViewService | undefined,
  { network, ip, clientNamespace }: DialledAddress,
): boolean {
  if (service === undefined || isPod(workload)) return true;
  const { namespace } = workload;
  if (namespace === service.namespace || namespace === clientNamespace) return true;
  const hasAddress = service.addresses.some(
    (one) => one.network === network && one.address === ip && one.length === undefined,
  );
  return !hasAddress && service.namespace !== clientNamespace;
}
