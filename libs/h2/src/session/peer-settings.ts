/** What the peer's SETTINGS say (RFC 9113 §6.5). */
import { readU16, readU32 } from '../frames/bytes.ts';
import {
  ERROR,
  type ErrorNumber,
  FRAME_BYTES_MAX,
  FRAME_BYTES_MIN,
  HEADER_TABLE_BYTES_DEFAULT,
  SETTING,
  WINDOW_BYTES_DEFAULT,
  WINDOW_BYTES_MAX,
} from '../frames/protocol.ts';

export interface PeerSettings {
  headerTableBytes: number;
  /** Infinity until the peer says otherwise. */
  streamsMax: number;
  windowBytes: number;
  frameBytesMax: number;
  /** Advice only; Infinity until the peer says otherwise. */
  headerListBytesMax: number;
}

/** §6.5.2. */
export function defaultPeerSettings(): PeerSettings {
  return {
    headerTableBytes: HEADER_TABLE_BYTES_DEFAULT,
    streamsMax: Number.POSITIVE_INFINITY,
    windowBytes: WINDOW_BYTES_DEFAULT,
    frameBytesMax: FRAME_BYTES_MIN,
    headerListBytesMax: Number.POSITIVE_INFINITY,
  };
}

export interface SettingsProblem {
  readonly code: ErrorNumber;
  readonly message: string;
}

/** Applies a frame's settings in their order; unknown ones are ignored. Undefined: all were in order. */
export function applySettings(
  settings: PeerSettings,
  entries: Uint8Array,
  role: 'client' | 'server',
): SettingsProblem | undefined {
  for (let at = 0; at < entries.length; at += 6) {
    const problem = applyOne(settings, readU16(entries, at), readU32(entries, at + 2), role);
    if (problem !== undefined) {
      return problem;
    }
  }
  return undefined;
}

function applyOne(
  settings: PeerSettings,
  id: number,
  value: number,
  role: 'client' | 'server',
): SettingsProblem | undefined {
  switch (id) {
    case SETTING.HEADER_TABLE_SIZE:
      settings.headerTableBytes = value;
      return undefined;
    case SETTING.ENABLE_PUSH:
      // 0 or 1; a server may say 0 only.
      return value > (role === 'server' ? 1 : 0)
        ? { code: ERROR.PROTOCOL_ERROR, message: `ENABLE_PUSH is ${value}` }
        : undefined;
    case SETTING.MAX_CONCURRENT_STREAMS:
      settings.streamsMax = value;
      return undefined;
    case SETTING.INITIAL_WINDOW_SIZE:
      if (value > WINDOW_BYTES_MAX) {
        return { code: ERROR.FLOW_CONTROL_ERROR, message: `INITIAL_WINDOW_SIZE is ${value}` };
      }
      settings.windowBytes = value;
      return undefined;
    case SETTING.MAX_FRAME_SIZE:
      if (value < FRAME_BYTES_MIN || value > FRAME_BYTES_MAX) {
        return { code: ERROR.PROTOCOL_ERROR, message: `MAX_FRAME_SIZE is ${value}` };
      }
      settings.frameBytesMax = value;
      return undefined;
    case SETTING.MAX_HEADER_LIST_SIZE:
      settings.headerListBytesMax = value;
      return undefined;
    default:
      return undefined;
  }
}
