/** The client's side of a conversation (conversation.ts) held by node:http2. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type OutgoingHttpHeaders,
} from 'node:http2';
import {
  Digest,
  ownFields,
  PLAN_FIELD,
  type Plan,
  piecesOf,
  type Result,
  SAW_FIELD,
} from './conversation.ts';

/** Of repeated names a list. */
function headersOf(fields: Plan['Fields']): OutgoingHttpHeaders {
  const headers: Record<string, string[]> = {};
  for (const [name, value] of fields) {
    headers[name] = [...(headers[name] ?? []), value];
  }
  return headers;
}

function fieldOf(fields: readonly string[], name: string): string {
  const at = fields.findIndex((text, index) => index % 2 === 0 && text === name);
  return at === -1 ? '' : (fields[at + 1] ?? '');
}

function requestOf(session: ClientHttp2Session, plan: Plan): ClientHttp2Stream {
  const { Method, Path, Authority, Fields, Chunks, HasLength, Trailers, Answer } = plan;
  const target = Method === 'CONNECT' ? {} : { ':scheme': 'http', ':path': Path };
  const length = Chunks.reduce((all, one) => all + one, 0);
  return session.request(
    {
      ...{ ':method': Method, ...target, ':authority': Authority, [PLAN_FIELD]: Answer },
      ...(HasLength && Chunks.length > 0 ? { 'content-length': String(length) } : {}),
      ...headersOf(Fields),
    },
    { endStream: Chunks.length === 0, waitForTrailers: Trailers.length > 0 },
  );
}

/** Asks as the plan says. Always resolves. */
export function askByNode(session: ClientHttp2Session, plan: Plan): Promise<Result> {
  const { promise, resolve } = Promise.withResolvers<Result>();
  const digest = new Digest();
  let [status, interims, failed] = [0, 0, false];
  let fields: readonly string[] = [];
  let trailers: readonly string[] = [];
  const stream = requestOf(session, plan);
  stream.on('headers', () => {
    interims += 1;
  });
  stream.on('response', (headers, _flags, raw) => {
    status = headers[':status'] ?? 0;
    fields = raw;
    if (plan.Cancel) {
      stream.close(constants.NGHTTP2_CANCEL);
    }
  });
  stream.on('trailers', (_headers, _flags, raw) => {
    trailers = raw;
  });
  stream.on('wantTrailers', () => stream.sendTrailers(headersOf(plan.Trailers)));
  stream.on('data', (chunk: Buffer) => digest.add(chunk));
  stream.on('error', () => {
    failed = true;
  });
  stream.on('close', () =>
    resolve({
      Index: plan.Index,
      Status: status,
      Interims: interims,
      Fields: ownFields(fields),
      Body: digest.toString(),
      Trailers: ownFields(trailers),
      Saw: fieldOf(trailers, SAW_FIELD) || fieldOf(fields, SAW_FIELD),
      Failed: failed,
    }),
  );
  if (plan.Chunks.length > 0) {
    for (const piece of piecesOf(plan.Chunks)) {
      stream.write(piece);
    }
    stream.end();
  }
  return promise;
}
