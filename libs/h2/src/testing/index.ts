/** Peers and transports that tests are made of. Imported by tests only, as `@ambit/h2/testing`. */
export { attackByHttp2, H2_ATTACKS, H2_STREAM_ATTACKS, type H2Attack } from './attacks.ts';
export { echo, TestServer, type TestServerOptions } from './echo-server.ts';
export { EventLog, frame } from './frames.ts';
export { type H2specResult, h2specProgram, runH2spec } from './h2spec.ts';
export {
  block,
  data,
  GET,
  get,
  goaway,
  headers,
  ping,
  post,
  RawPeer,
  reset,
  SETTINGS_ACK,
  settings,
  settled,
  windowUpdate,
} from './raw-peer.ts';
export { clientRig, pairRig, type RigOptions, serverRig } from './sessions.ts';
