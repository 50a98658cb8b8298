/**
 * What is dialled in the end: which address of a workload, which identities it may present there, and
 * which ports are never a destination.
 */
import type { ViewService, ViewWorkload } from '../mesh-view.ts';
import { workloadIdentity } from '../mesh-view.ts';

export const HBONE_PORT = 15008;

/** Ports of the agent's own listeners: never a final destination (loop guard). */
export const ILLEGAL_PORTS: ReadonlySet<number> = new Set([15001, 15006, HBONE_PORT]);

/** `dns`: the name has to be looked up, because the workload has no address. */
export interface DialTarget {
  readonly kind: 'ip' | 'dns';
  readonly host: string;
  readonly port: number;
}

/** SANs of the service and the workload's own identity. */
export function expectedIdentities(
  workload: ViewWorkload,
  service?: ViewService,
): readonly string[] {
  return [...new Set([...(service?.subjectAltNames ?? []), workloadIdentity(workload)])];
}

/** The address dialled, else the first of a family that the service allows, preferring that of the original. */
export function pickAddress(
  workload: ViewWorkload,
  options: { readonly originalIp?: string; readonly service?: ViewService },
): Pick<DialTarget, 'kind' | 'host'> | undefined {
  const { originalIp, service } = options;
  if (originalIp !== undefined && workload.addresses.includes(originalIp)) {
    return { kind: 'ip', host: originalIp };
  }
  const allowed = workload.addresses.filter((address) => isFamilyAllowed(address, service));
  const sameFamily =
    originalIp === undefined
      ? undefined
      : allowed.find((address) => address.includes(':') === originalIp.includes(':'));
  const host = sameFamily ?? allowed[0];
  if (host !== undefined) return { kind: 'ip', host };
  if (workload.addresses.length > 0 || workload.hostname === '') return undefined;
  return { kind: 'dns', host: workload.hostname };
}

/** Whether a waypoint decides the policies of this target port. */
export function isRouted(workload: ViewWorkload, targetPort: number): boolean {
  const { guard } = workload;
  return guard !== undefined && (guard.ports.length === 0 || guard.ports.includes(targetPort));
}

/** Whether only the bound waypoint may reach this target port. */
export function isGuarded(workload: ViewWorkload, targetPort: number): boolean {
  return isRouted(workload, targetPort) && workload.guard?.exclusive !== false;
}

function isFamilyAllowed(address: string, service: ViewService | undefined): boolean {
  const family = service?.ipFamilies ?? 'AUTOMATIC';
  if (family === 'IPV4_ONLY') return !address.includes(':');
  if (family === 'IPV6_ONLY') return address.includes(':');
  return true;
}
