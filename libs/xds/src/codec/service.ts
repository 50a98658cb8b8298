/** Services: `@ambit/model` ⇄ `istio.workload.Service`. */
import type { LoadBalancing, MeshService } from '@ambit/model';
import { create } from '@bufbuild/protobuf';

import { invalidResource } from '../errors.ts';
import {
  IPFamilies,
  LoadBalancing_HealthPolicy,
  LoadBalancing_Mode,
  LoadBalancing_Scope,
  type LoadBalancing as LoadBalancingMessage,
  LoadBalancingSchema,
  type Service as ServiceMessage,
  ServiceSchema,
} from '../gen/istio/workload/workload_pb.ts';
import {
  decodeNetworkAddress,
  decodePort,
  encodeGatewayAddress,
  encodeNetworkAddress,
  encodePort,
} from './gateway-address.ts';
import { enumNames } from './primitives.ts';
import { decodeWaypoint, waypointExtensions } from './waypoint-extension.ts';

const familiesName = enumNames(IPFamilies, 'IPFamilies');
const scopeName = enumNames(LoadBalancing_Scope, 'LoadBalancing.Scope');
const modeName = enumNames(LoadBalancing_Mode, 'LoadBalancing.Mode');
const healthName = enumNames(LoadBalancing_HealthPolicy, 'LoadBalancing.HealthPolicy');

export function encodeService(service: MeshService): ServiceMessage {
  const { waypoint, loadBalancing } = service;
  return create(ServiceSchema, {
    name: service.name,
    namespace: service.namespace,
    hostname: service.hostname,
    addresses: service.addresses.map(encodeNetworkAddress),
    ports: service.ports.map(encodePort),
    subjectAltNames: [...service.subjectAltNames],
    ...(waypoint === undefined ? {} : { waypoint: encodeGatewayAddress(waypoint) }),
    ...(loadBalancing === undefined ? {} : { loadBalancing: encodeLoadBalancing(loadBalancing) }),
    ipFamilies: IPFamilies[service.ipFamilies],
    canonical: service.canonical,
    ingressUseWaypoint: service.ingressUseWaypoint,
    extensions: waypointExtensions(waypoint).map((extension) => ({
      ...extension,
      $typeName: 'istio.workload.Extension' as const,
    })),
  });
}

/** Throws XDS_RESOURCE_INVALID. */
export function decodeService(message: ServiceMessage): MeshService {
  if (message.hostname === '' || message.namespace === '') {
    throw invalidResource('a service without namespace or hostname');
  }
  const { loadBalancing } = message;
  const waypoint = decodeWaypoint(message);
  return {
    name: message.name,
    namespace: message.namespace,
    hostname: message.hostname,
    addresses: message.addresses.map(decodeNetworkAddress),
    ports: message.ports.map(decodePort),
    subjectAltNames: message.subjectAltNames,
    ...(waypoint === undefined ? {} : { waypoint }),
    ...(loadBalancing === undefined ? {} : { loadBalancing: decodeLoadBalancing(loadBalancing) }),
    ipFamilies: familiesName(message.ipFamilies),
    canonical: message.canonical,
    ingressUseWaypoint: message.ingressUseWaypoint,
  };
}

function encodeLoadBalancing(balancing: LoadBalancing): LoadBalancingMessage {
  return create(LoadBalancingSchema, {
    routingPreference: balancing.routingPreference.map((scope) => LoadBalancing_Scope[scope]),
    mode: balancing.mode === 'UNSPECIFIED' ? 0 : LoadBalancing_Mode[balancing.mode],
    healthPolicy: LoadBalancing_HealthPolicy[balancing.healthPolicy],
  });
}

function decodeLoadBalancing(message: LoadBalancingMessage): LoadBalancing {
  const mode = modeName(message.mode);
  return {
    routingPreference: message.routingPreference.map((value) => {
      const scope = scopeName(value);
      if (scope === 'UNSPECIFIED_SCOPE') {
        throw invalidResource('an unspecified load balancing scope');
      }
      return scope;
    }),
    mode: mode === 'UNSPECIFIED_MODE' ? 'UNSPECIFIED' : mode,
    healthPolicy: healthName(message.healthPolicy),
  };
}
