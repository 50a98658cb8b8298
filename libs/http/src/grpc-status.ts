/**
 * `grpc-status` as a server sends it: one decimal number. What a server may write there decides about retries and becomes a label of
 * metrics, so whatever else JavaScript takes for a number is none.
 */

/** The protocol knows 0 to 16; more than two digits are nobody's. */
const GRPC_STATUS = /^(?:0|[1-9][0-9]?)$/;

/** 0 to 99. Undefined for any other text, and for a field that was sent twice. */
export function readGrpcStatus(text: string | undefined): number | undefined {
  return text !== undefined && GRPC_STATUS.test(text) ? Number(text) : undefined;
}
