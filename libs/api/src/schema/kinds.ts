/**
 * Every kind that the mesh reads, with its groups, versions and schema; and the kinds of a mesh that it
 * knows but does not serve, with what to use instead.
 */
import * as z from 'zod';
import { knownUnsupportedPaths } from '../unsupported.ts';
import { deploymentSpec, podBody, serviceSpec } from './core.ts';
import { destinationRuleSpec } from './destination-rule.ts';
import { endpointSliceBody } from './endpoint-slice.ts';
import { buildFieldIndex, type FieldIndex } from './field-index.ts';
import {
  gatewayClassSpec,
  gatewaySpec,
  grpcRouteSpec,
  httpRouteSpec,
  referenceGrantSpec,
  tcpRouteSpec,
} from './gateway.ts';
import {
  authorizationPolicySpec,
  peerAuthenticationSpec,
  requestAuthenticationSpec,
} from './security.ts';
import { serviceEntrySpec, workloadEntrySpec } from './service-entry.ts';
import { virtualServiceSpec } from './virtual-service.ts';

export interface KindDefinition {
  readonly kind: string;
  readonly group: string;
  readonly versions: readonly string[];
  readonly isNamespaced: boolean;
  /** Unknown fields are errors: nobody else reads the spec. */
  readonly isMeshKind: boolean;
  /** What is beside apiVersion, kind and metadata. */
  readonly body: z.ZodType<object>;
  readonly fields: FieldIndex;
}

const NETWORKING = ['v1', 'v1beta1', 'v1alpha3'];
const SECURITY = ['v1', 'v1beta1'];
const GATEWAY = ['v1', 'v1beta1', 'v1alpha2'];

function mesh(
  kind: string,
  group: string,
  versions: readonly string[],
  spec: z.ZodType,
  isNamespaced = true,
): KindDefinition {
  const shape = z.strictObject({ spec });
  return define({ kind, group, versions, isNamespaced, isMeshKind: true, body: shape });
}

function core(
  kind: string,
  group: string,
  body: z.ZodType<object>,
  isNamespaced = true,
): KindDefinition {
  return define({ kind, group, versions: ['v1'], isNamespaced, isMeshKind: false, body });
}

function define(definition: Omit<KindDefinition, 'fields'>): KindDefinition {
  return {
    ...definition,
    fields: buildFieldIndex(definition.body, knownUnsupportedPaths(definition.kind)),
  };
}

const nothing = z.object({});

const DEFINITIONS: readonly KindDefinition[] = [
  core('Namespace', '', nothing, false),
  core('Node', '', nothing, false),
  core('ServiceAccount', '', nothing),
  core('Service', '', z.object({ spec: serviceSpec })),
  core('Pod', '', podBody),
  core('EndpointSlice', 'discovery.k8s.io', endpointSliceBody),
  core('Deployment', 'apps', z.object({ spec: deploymentSpec })),
  mesh('VirtualService', 'networking.istio.io', NETWORKING, virtualServiceSpec),
  mesh('DestinationRule', 'networking.istio.io', NETWORKING, destinationRuleSpec),
  mesh('ServiceEntry', 'networking.istio.io', NETWORKING, serviceEntrySpec),
  mesh('WorkloadEntry', 'networking.istio.io', NETWORKING, workloadEntrySpec),
  mesh('AuthorizationPolicy', 'security.istio.io', SECURITY, authorizationPolicySpec),
  mesh('PeerAuthentication', 'security.istio.io', SECURITY, peerAuthenticationSpec),
  mesh('RequestAuthentication', 'security.istio.io', SECURITY, requestAuthenticationSpec),
  mesh('Gateway', 'gateway.networking.k8s.io', GATEWAY, gatewaySpec),
  mesh('GatewayClass', 'gateway.networking.k8s.io', GATEWAY, gatewayClassSpec, false),
  mesh('HTTPRoute', 'gateway.networking.k8s.io', GATEWAY, httpRouteSpec),
  mesh('GRPCRoute', 'gateway.networking.k8s.io', GATEWAY, grpcRouteSpec),
  mesh('TCPRoute', 'gateway.networking.k8s.io', GATEWAY, tcpRouteSpec),
  mesh('ReferenceGrant', 'gateway.networking.k8s.io', GATEWAY, referenceGrantSpec),
];

const BY_NAME: ReadonlyMap<string, KindDefinition> = new Map(
  DEFINITIONS.map((definition) => [`${definition.group}/${definition.kind}`, definition]),
);

/** The kinds in the order of the documentation. */
export function supportedKinds(): readonly KindDefinition[] {
  return DEFINITIONS;
}

/** The definition of a kind of a group, whatever the version. */
export function definitionOf(group: string, kind: string): KindDefinition | undefined {
  return BY_NAME.get(`${group}/${kind}`);
}

/** Instead of what: group/kind → the sentence of the condition. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  'networking.istio.io/EnvoyFilter':
    'there is no Envoy here; use VirtualService or HTTPRoute for header edits, redirects and retries, DestinationRule.connectionPool for timeouts and limits, AuthorizationPolicy for access',
  'networking.istio.io/Sidecar':
    'not needed without sidecars: each proxy gets only what it serves; nothing has to be narrowed by hand',
  'networking.istio.io/Gateway':
    'ingress and egress gateways are not served yet; inside the mesh use a Gateway of gateway.networking.k8s.io with class istio-waypoint',
  'networking.istio.io/WorkloadGroup': 'not served yet; write one WorkloadEntry for each machine',
  'networking.istio.io/ProxyConfig':
    'there is no sidecar to configure; limits and timeouts belong into DestinationRule.connectionPool',
  'telemetry.istio.io/Telemetry':
    'not served yet; metrics and access logs are always on and cannot be changed by an object',
  'extensions.istio.io/WasmPlugin':
    'WebAssembly plugins are not served; use VirtualService or HTTPRoute filters and AuthorizationPolicy',
  'extensions.istio.io/TrafficExtension':
    'extensions are not served; use VirtualService or HTTPRoute filters and AuthorizationPolicy',
  'gateway.networking.k8s.io/TLSRoute': 'not served yet; use a TCPRoute for the port',
  'gateway.networking.k8s.io/UDPRoute': 'UDP is not captured',
  'gateway.networking.k8s.io/BackendTLSPolicy':
    'not served yet; inside the mesh every connection is mTLS already',
  'gateway.networking.k8s.io/ListenerSet': 'ingress gateways are not served yet',
};

/** Why a known kind of a mesh is not served and what to use instead; undefined for any other kind. */
export function unsupportedKindHint(group: string, kind: string): string | undefined {
  const name = `${group}/${kind}`;
  return Object.hasOwn(UNSUPPORTED, name) ? UNSUPPORTED[name] : undefined;
}

/** `group/kind` of every known kind that is not served. */
export function unsupportedKinds(): readonly string[] {
  return Object.keys(UNSUPPORTED);
}
