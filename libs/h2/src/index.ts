/** HTTP/2 on the push contract of bytes, both roles: frames, HPACK, sessions, flow control. */
export { H2Error, type H2ErrorCode } from './errors.ts';
export { ERROR, type ErrorNumber, errorName } from './frames/protocol.ts';
export type { Fields, RequestHead, ResponseHead } from './message.ts';
export { ClientSession } from './session/client-session.ts';
export type { ClientStream, ResponseSink } from './session/client-stream.ts';
export { type H2Counters, newH2Counters } from './session/counters.ts';
export {
  EDGE_LIMITS,
  FLOODS,
  type Flood,
  type H2Limits,
  MESH_LIMITS,
  type Rate,
} from './session/limits.ts';
export type { PeerSettings } from './session/peer-settings.ts';
export type { KeepAlive } from './session/pings.ts';
export {
  type PeerConduct,
  PROBATION_LIMITS,
  Probation,
  type ProbationCounters,
  type ProbationLimits,
} from './session/probation.ts';
export { ServerSession, type ServerSessionOptions } from './session/server-session.ts';
export type { ServerStream } from './session/server-stream.ts';
export type { Goaway, SessionOptions } from './session/session-options.ts';
export type { StreamSink } from './session/stream-host.ts';
export { TokenBucket } from './session/token-bucket.ts';
export { threadWindowGrowth, WindowGrowth } from './session/window-growth.ts';
