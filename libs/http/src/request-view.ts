/** A request as policies and routes see it: one object for both, made once. */
import { judgedHeader, type RequestAttributes } from '@ambit/policy';
import type { HttpRequestView, HttpSource } from '@ambit/routing';
import type { HeaderList } from './headers.ts';
import type { Caller } from './plane.ts';
import type { Transaction } from './transaction.ts';

/** What a route makes of it. */
interface Rewritten {
  readonly authority: string;
  /** Without query. */
  readonly path: string;
  readonly headers: HeaderList;
}

export class RequestView implements RequestAttributes, HttpRequestView {
  readonly method: string;
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;
  readonly port: number;
  readonly source: HttpSource;
  readonly upgrade: string | undefined;
  readonly #headers: HeaderList;

  /** `rewritten` absent: as it came. */
  constructor({ exchange, plane, headers, path, query }: Transaction, rewritten?: Rewritten) {
    const { head } = exchange;
    this.method = head.method;
    this.scheme = head.scheme;
    this.host = rewritten?.authority ?? head.authority;
    this.path = rewritten?.path ?? path;
    this.query = query === '' ? '' : query.slice(1);
    this.port = plane.destination.port;
    this.source = sourceOf(plane.caller);
    this.upgrade = head.upgrade;
    this.#headers = rewritten?.headers ?? headers;
  }

  get authority(): string {
    return this.host;
  }

  header(name: string): string | undefined {
    return judgedHeader(name, this, this.#headers);
  }

  repeatedHeader(name: string): readonly string[] | undefined {
    return this.#headers.repeated(name);
  }
}

/** A tunnel has one caller. */
const sources = new WeakMap<Caller, HttpSource>();

function sourceOf(caller: Caller): HttpSource {
  let source = sources.get(caller);
  if (source === undefined) {
    const { namespace, ip, workload } = caller;
    source = { namespace, ip, ...(workload === undefined ? {} : { labels: workload.labels }) };
    sources.set(caller, source);
  }
  return source;
}
