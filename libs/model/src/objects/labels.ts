/** Labels and annotations that the mesh reads, spelled once. */

export const DATAPLANE_MODE = 'istio.io/dataplane-mode';
export const INJECTION = 'istio-injection';
export const REDIRECTION = 'ambient.istio.io/redirection';
export const SIDECAR_STATUS = 'sidecar.istio.io/status';
export const DNS_CAPTURE = 'ambient.istio.io/dns-capture';
export const USE_WAYPOINT = 'istio.io/use-waypoint';
export const USE_WAYPOINT_NAMESPACE = 'istio.io/use-waypoint-namespace';
/** `direct` or `refuse`, on a Service, Namespace or Gateway, as annotation or label. Ours. */
export const WAYPOINT_FALLBACK = 'ambit.io/waypoint-fallback';
export const WAYPOINT_FOR = 'istio.io/waypoint-for';
export const INGRESS_USE_WAYPOINT = 'istio.io/ingress-use-waypoint';
export const GATEWAY_NAME = 'gateway.networking.k8s.io/gateway-name';
/** On a Gateway: name of the Service and Deployment that are made for it. */
export const NAME_OVERRIDE = 'gateway.istio.io/name-override';
export const SERVICE_ACCOUNT = 'gateway.istio.io/service-account';
export const TUNNEL = 'networking.istio.io/tunnel';
export const TRAFFIC_DISTRIBUTION = 'networking.istio.io/traffic-distribution';
export const DRY_RUN = 'istio.io/dry-run';

export const WAYPOINT_CLASSES: ReadonlySet<string> = new Set(['istio-waypoint', 'ambit-waypoint']);

/** The port on which a waypoint takes tunnels. */
export const HBONE_PORT = 15008;
