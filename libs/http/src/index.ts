/** The HTTP engine of the waypoint: one request model, the named phases of a request, clients and upstreams. */
export { type SniffedProtocol, sniffBytes } from './downstream/sniff.ts';
export { HttpEngine, type HttpEngineOptions } from './engine.ts';
export {
  type ErrorAnswer,
  grpcStatusOf,
  HttpError,
  type HttpErrorCode,
  type ResponseFlag,
} from './errors.ts';
export { HeaderList } from './headers.ts';
export { HTTP_LIMITS, type HttpLimits } from './limits.ts';
export type { HttpVersion } from './message.ts';
export type { Caller, Destination, DialTarget, MeshPlane, ResolvedCluster } from './plane.ts';
export type { ConnectionRecord, HttpObserver, RefusalRecord, RequestRecord } from './record.ts';
export type { EngineCounters } from './transaction.ts';
export { type ClusterState, ClusterStates, type MeshEndpoint } from './upstream/cluster-state.ts';
export type { UpstreamCounters } from './upstream/upstream-counters.ts';
