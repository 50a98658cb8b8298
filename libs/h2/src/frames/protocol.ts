/** The numbers of HTTP/2: RFC 9113 §6 (frames), §6.5.2 (settings), §7 (error codes), §3.4 (preface). */

export const FRAME = {
  DATA: 0x00,
  HEADERS: 0x01,
  PRIORITY: 0x02,
  RST_STREAM: 0x03,
  SETTINGS: 0x04,
  PUSH_PROMISE: 0x05,
  PING: 0x06,
  GOAWAY: 0x07,
  WINDOW_UPDATE: 0x08,
  CONTINUATION: 0x09,
} as const;

export const FLAG = {
  END_STREAM: 0x01,
  ACK: 0x01,
  END_HEADERS: 0x04,
  PADDED: 0x08,
  PRIORITY: 0x20,
} as const;

export const SETTING = {
  HEADER_TABLE_SIZE: 0x1,
  ENABLE_PUSH: 0x2,
  MAX_CONCURRENT_STREAMS: 0x3,
  INITIAL_WINDOW_SIZE: 0x4,
  MAX_FRAME_SIZE: 0x5,
  MAX_HEADER_LIST_SIZE: 0x6,
} as const;

export const ERROR = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  CONNECT_ERROR: 0xa,
  ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc,
  HTTP_1_1_REQUIRED: 0xd,
} as const;

/** Of RST_STREAM and GOAWAY. A peer may send any 32-bit number (§7: unknown codes mean nothing special). */
export type ErrorNumber = number;

const ERROR_NAMES: readonly string[] = Object.keys(ERROR);

/** `CANCEL`, or `0x1234` for a code that nobody defined. For people. */
export function errorName(code: ErrorNumber): string {
  return ERROR_NAMES[code] ?? `0x${code.toString(16)}`;
}

const FRAME_NAMES: readonly string[] = Object.keys(FRAME);

export function frameName(type: number): string {
  return FRAME_NAMES[type] ?? `0x${type.toString(16)}`;
}

/** §3.4: what a client says first. */
export const PREFACE: Uint8Array = new TextEncoder().encode('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** §4.1. */
export const FRAME_HEADER_BYTES = 9;
/** §4.2: what every endpoint accepts, and the most that a length field says. */
export const FRAME_BYTES_MIN = 16_384;
export const FRAME_BYTES_MAX = 16_777_215;
/** §6.9.1, §6.9.2. */
export const WINDOW_BYTES_MAX = 2 ** 31 - 1;
export const WINDOW_BYTES_DEFAULT = 65_535;
/** §5.1.1. */
export const STREAM_ID_MAX = 2 ** 31 - 1;
/** RFC 7541 §4.2 and RFC 9113 §6.5.2. */
export const HEADER_TABLE_BYTES_DEFAULT = 4_096;
