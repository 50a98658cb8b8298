/** HTTP/2 on the push contract of bytes, both roles: frames, HPACK, sessions, flow control. */
export { H2Error, type H2ErrorCode } from './errors.ts';
export { ERROR, type ErrorNumber, errorName } from './frames/protocol.ts';
