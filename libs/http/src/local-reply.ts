/** Answers that this proxy makes itself. A gRPC client gets trailers-only, because it reads nothing else. */
import { type ErrorAnswer, grpcStatusOf } from './errors.ts';
import { HeaderList } from './headers.ts';

export interface Reply {
  readonly status: number;
  readonly headers: HeaderList;
  readonly bytes: Uint8Array;
  /** Set for gRPC. */
  readonly grpcStatus?: number;
}

const encoder = new TextEncoder();
const NOTHING = new Uint8Array(0);

export function plainReply(status: number, text: string): Reply {
  const headers = new HeaderList();
  if (text !== '') {
    headers.add('content-type', 'text/plain');
  }
  return { status, headers, bytes: encoder.encode(text) };
}

/** Trailers-only: 200, the status in the headers, no body. */
export function grpcReply(grpcStatus: number, message: string): Reply {
  const headers = new HeaderList();
  headers.add('content-type', 'application/grpc');
  headers.add('grpc-status', String(grpcStatus));
  if (message !== '') {
    headers.add('grpc-message', encodeGrpcMessage(message));
  }
  return { status: 200, headers, bytes: NOTHING, grpcStatus };
}

export function errorReply(answer: ErrorAnswer, isGrpcRequest: boolean): Reply {
  const reply = isGrpcRequest
    ? grpcReply(grpcStatusOf(answer.status), answer.body)
    : plainReply(answer.status, answer.body);
  if (answer.flag === 'UO') {
    reply.headers.add('x-envoy-overloaded', 'true');
  }
  return reply;
}

/** Percent-encoding of gRPC's HTTP/2 mapping: printable ASCII but `%` stays. */
function encodeGrpcMessage(message: string): string {
  let encoded = '';
  for (const byte of encoder.encode(message)) {
    encoded +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}
