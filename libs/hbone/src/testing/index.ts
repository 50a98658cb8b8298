/** A tunnel on loopback and a peer that speaks in frames. Imported by tests only, as `@ambit/hbone/testing`. */
export { eventually, settle } from './eventually.ts';
export {
  connectHeaders,
  END_HEADERS,
  END_STREAM,
  FRAME_TYPES,
  type FrameType,
  frame,
  PREFACE,
  type RawFrame,
  RawPeer,
} from './raw-peer.ts';
export { type RigOptions, TunnelRig } from './tunnel-rig.ts';
