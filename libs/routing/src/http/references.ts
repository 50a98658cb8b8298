/** What Gateway API's references mean in the mesh: parents are services, backends are services or hosts. */
import type { BackendRef, HTTPRoute, ParentRef } from '@ambit/api';
import type { RoutedService, RouteScope } from './compile.ts';

/** Whether the reference means the service, by the rules for mesh parents. */
export function isParent(
  parent: ParentRef,
  route: Pick<HTTPRoute, 'metadata'>,
  service: RoutedService,
): boolean {
  const isKind =
    (parent.kind === 'Service' && (parent.group === '' || parent.group === 'core')) ||
    (parent.kind === 'ServiceEntry' && parent.group === 'networking.istio.io');
  return (
    isKind &&
    parent.name === service.name &&
    (parent.namespace ?? route.metadata.namespace) === service.namespace &&
    (parent.port === undefined || service.ports.includes(parent.port))
  );
}

/** Where a reference is written. */
export interface ReferenceContext {
  readonly scope: RouteScope;
  readonly namespace: string;
}

/** The cluster, or why there is none. */
export function resolveBackend(
  backend: BackendRef,
  { scope, namespace }: ReferenceContext,
): { readonly host: string; readonly port: number } | string {
  const host = backendHost(backend, { scope, namespace });
  if (host === undefined) return `backend kind "${backend.group}/${backend.kind}" is not supported`;
  const ports = scope.portsOf(host);
  if (ports === undefined) return `backend "${host}" does not exist`;
  const port = backend.port ?? (ports.length === 1 ? ports[0] : undefined);
  if (port === undefined) return `backend "${host}" needs a port`;
  return ports.includes(port) ? { host, port } : `backend "${host}" has no port ${port}`;
}

function backendHost(
  backend: BackendRef,
  { scope, namespace }: ReferenceContext,
): string | undefined {
  if (backend.kind === 'Service' && (backend.group === '' || backend.group === 'core')) {
    return `${backend.name}.${backend.namespace ?? namespace}.svc.${scope.clusterDomain}`;
  }
  const isHostname = backend.kind === 'Hostname' && backend.group === 'networking.istio.io';
  return isHostname ? backend.name.toLowerCase() : undefined;
}
