/** A tunnel on loopback and a peer that speaks in frames. Imported by tests only, as `@ambit/hbone/testing`. */
export { eventually, settle } from './eventually.ts';
export { FramePeer, FrameServer } from './frame-peer.ts';
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
export {
  bytesOf,
  CONVERSATIONS,
  type Conversation,
  endsStream,
  fieldOf,
  isAck,
  payloadOf,
  type Step,
  sentOn,
  speak,
  toldBy,
  withoutPseudo,
  wordsOf,
} from './recorded.ts';
export { Replayed, TRANSFERS, type Transfer, type TransferStep } from './recorded-transfers.ts';
export { type RigOptions, TunnelRig } from './tunnel-rig.ts';
