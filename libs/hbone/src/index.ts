/** HBONE: TCP streams tunnelled as HTTP/2 CONNECT over mutual TLS. */
export { type Baggage, type BaggageWorkloadType, formatBaggage, parseBaggage } from './baggage.ts';
export type { ConnectOptions, HboneStream } from './client-session.ts';
export { ConnectEffort, isUnreached } from './connect-effort.ts';
export {
  type ConnectTarget,
  ConnectTargetError,
  HBONE_PORT,
  parseConnectTarget,
} from './connect-target.ts';
export { endpointLeft, HboneError, type HboneErrorCode, isPolicyRefusal } from './errors.ts';
export {
  formatForwarded,
  forwardedHost,
  newTraceparent,
  parseTraceparent,
  type Traceparent,
} from './headers.ts';
export { type TunnelEnds, tunnelFamilies } from './peer-metrics.ts';
export { newPeerRefusalCounts, type PeerRefusal } from './peer-refusals.ts';
export { HbonePool } from './pool.ts';
export {
  HBONE_POOL_LIMITS,
  type HbonePoolCounters,
  type HbonePoolLimits,
  type HbonePoolOptions,
} from './pool-options.ts';
export { raceAbort } from './race-abort.ts';
export {
  HBONE_SERVER_LIMITS,
  HboneServer,
  type HboneServerLimits,
  type HboneServerOptions,
  type RejectedPeer,
} from './server.ts';
export { HboneServerCounters, newFloodCounts } from './server-counters.ts';
export type { ConnectAnswer, ConnectRequest, OnConnect } from './server-session.ts';
export { boundThread, threadBoundMetrics } from './thread-bounds.ts';
export type { PeerIdentity, TlsIdentity } from './tls.ts';
export type { TunnelKey } from './tunnel-key.ts';
