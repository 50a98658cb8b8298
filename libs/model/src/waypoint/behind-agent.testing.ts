/** A shop whose waypoint is a proxy of somebody else's, behind its agent. */
import type { MeshObject } from '@ambit/api';

import { REVIEWS, REVIEWS_SERVICE } from '../mesh.testing.ts';
import { namespace, parsed, pod, service } from '../objects.testing.ts';

export const BINDING = 'ambient.istio.io/waypoint-inbound-binding';
export const ENROLLED = { 'istio.io/dataplane-mode': 'ambient' };
export const SHOP = namespace('shop', { ...ENROLLED, 'istio.io/use-waypoint': 'w' });
export const FRONT = service('w', '10.1.0.9');
type Json = Readonly<Record<string, unknown>>;

export function proxy(
  labels: Readonly<Record<string, string>> = {},
  options: Json = {},
): MeshObject {
  const all = { app: 'w', 'gateway.networking.k8s.io/gateway-name': 'w', ...labels };
  return pod('w-0', '10.0.0.9', { account: 'w', labels: all, ...options });
}

export function made(
  binding: string | undefined,
  spec: Json = {},
  metadata: Json = {},
): MeshObject {
  return parsed({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: {
      name: 'w',
      namespace: 'shop',
      annotations: binding === undefined ? {} : { [BINDING]: binding },
      ...metadata,
    },
    spec: {
      gatewayClassName: 'istio-waypoint',
      addresses: [{ type: 'IPAddress', value: '10.1.0.9' }],
      listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
      ...spec,
    },
  });
}

export function gatewayClass(name: string, binding?: string, labels: Json = {}): MeshObject {
  const annotations = binding === undefined ? {} : { [BINDING]: binding };
  return parsed({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GatewayClass',
    metadata: { name, annotations, labels },
    spec: { controllerName: 'example.com/proxies' },
  });
}

/** As an earlier version of the mesh, or a stand-in, left it: what is read today is refused. */
export function bound(object: MeshObject, written: string): MeshObject {
  const annotations = { ...object.metadata.annotations, [BINDING]: written };
  return { ...object, metadata: { ...object.metadata, annotations } } as MeshObject;
}

export const WORLD = [SHOP, FRONT, proxy(), REVIEWS, REVIEWS_SERVICE];
/** Of a class of somebody else's, whose pods are reached by the Service of the Gateway's name. */
export const other = (binding?: string): MeshObject =>
  made(binding, { gatewayClassName: 'other', addresses: [] });
