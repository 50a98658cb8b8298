/**
 * What a frame's header alone tells: RFC 9113 §4.2 and the first paragraphs of each part of §6.
 *
 * Rule: a frame that could change the state of the whole connection (any on stream 0, header blocks, SETTINGS)
 * with a wrong size is an error of the connection, others of their stream (§4.2).
 */
import { ERROR, type ErrorNumber, FLAG, FRAME, frameName } from './protocol.ts';

export interface FrameLimits {
  /** Our SETTINGS_MAX_FRAME_SIZE. */
  readonly frameBytesMax: number;
  /** A header block as sent, that is compressed, with all its CONTINUATION frames. */
  readonly headerBlockBytesMax: number;
  readonly continuationsMax: number;
  /** Settings in one SETTINGS frame. */
  readonly settingsPerFrameMax: number;
}

export interface FrameHeader {
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
}

export interface FrameProblem {
  /** §5.4.2 instead of §5.4.1. */
  readonly isStream: boolean;
  readonly code: ErrorNumber;
  readonly message: string;
}

const problem = (code: ErrorNumber, message: string): FrameProblem => ({
  isStream: false,
  code,
  message,
});

/** Undefined: the header is in order. */
export function checkFrameHeader(
  header: FrameHeader,
  limits: FrameLimits,
): FrameProblem | undefined {
  const { length, type, streamId } = header;
  if (length > limits.frameBytesMax) {
    return checkOversize(header, limits);
  }
  switch (type) {
    case FRAME.DATA:
    case FRAME.HEADERS:
    case FRAME.CONTINUATION:
      return checkWithStream(header, limits);
    case FRAME.PRIORITY:
    case FRAME.RST_STREAM:
      return checkFixedOnStream(header);
    case FRAME.SETTINGS:
    case FRAME.PING:
    case FRAME.GOAWAY:
      return streamId === 0
        ? checkControl(header, limits)
        : // §6.5, §6.7, §6.8: these are about the connection.
          problem(ERROR.PROTOCOL_ERROR, `${frameName(type)} on a stream`);
    case FRAME.WINDOW_UPDATE:
      // §6.9: always an error of the connection.
      return length === 4 ? undefined : wrongSize(type);
    case FRAME.PUSH_PROMISE:
      // §6.6, §8.4: we have said that we take none, and a client must not send one at all.
      return problem(ERROR.PROTOCOL_ERROR, 'PUSH_PROMISE was not allowed');
    default:
      return undefined;
  }
}

/** §4.2. Of the connection in any case, as §5.4.1 allows: who ignores our SETTINGS is not spoken to further. */
function checkOversize(header: FrameHeader, limits: FrameLimits): FrameProblem {
  const { length, type } = header;
  return problem(
    ERROR.FRAME_SIZE_ERROR,
    `${frameName(type)} of ${length} bytes, allowed are ${limits.frameBytesMax}`,
  );
}

/** §6.1, §6.2, §6.10: never on stream 0; the fields that flags announce fit. */
function checkWithStream(header: FrameHeader, limits: FrameLimits): FrameProblem | undefined {
  const { length, type, flags, streamId } = header;
  if (streamId === 0) {
    return problem(ERROR.PROTOCOL_ERROR, `${frameName(type)} on stream 0`);
  }
  if (type === FRAME.DATA) {
    return (flags & FLAG.PADDED) !== 0 && length === 0 ? wrongSize(type) : undefined;
  }
  if (type === FRAME.HEADERS) {
    const fixed = ((flags & FLAG.PADDED) === 0 ? 0 : 1) + ((flags & FLAG.PRIORITY) === 0 ? 0 : 5);
    if (length < fixed) {
      return wrongSize(type);
    }
  }
  // Padding and priority do not count, so the bound is not exact here; `HeaderBlock` is.
  if (length > limits.headerBlockBytesMax + 256 + 5) {
    return problem(
      ERROR.ENHANCE_YOUR_CALM,
      `a header block of ${length} bytes, allowed are ${limits.headerBlockBytesMax}`,
    );
  }
  return undefined;
}

/** §6.3, §6.4: never on stream 0. A wrong size is an error of the stream for PRIORITY alone. */
function checkFixedOnStream({ length, type, streamId }: FrameHeader): FrameProblem | undefined {
  if (streamId === 0) {
    return problem(ERROR.PROTOCOL_ERROR, `${frameName(type)} on stream 0`);
  }
  if (type === FRAME.PRIORITY) {
    return length === 5 ? undefined : { ...wrongSize(type), isStream: true };
  }
  return length === 4 ? undefined : wrongSize(type);
}

/** §6.5, §6.7, §6.8. */
function checkControl(header: FrameHeader, limits: FrameLimits): FrameProblem | undefined {
  const { length, type, flags } = header;
  if (type === FRAME.PING) {
    return length === 8 ? undefined : wrongSize(type);
  }
  if (type === FRAME.GOAWAY) {
    return length >= 8 ? undefined : wrongSize(type);
  }
  if ((flags & FLAG.ACK) !== 0) {
    return length === 0 ? undefined : wrongSize(type);
  }
  if (length % 6 !== 0) {
    return wrongSize(type);
  }
  if (length / 6 > limits.settingsPerFrameMax) {
    return problem(ERROR.ENHANCE_YOUR_CALM, `${length / 6} settings in one frame`);
  }
  return undefined;
}

function wrongSize(type: number): FrameProblem {
  return problem(ERROR.FRAME_SIZE_ERROR, `${frameName(type)} of a wrong size`);
}
