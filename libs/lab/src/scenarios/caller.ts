/** A client in a pod, for tests: `programs/caller.mjs` behind typed methods. The pod is of a lab, or of a cluster. */
import { createInterface } from 'node:readline';
import type { LabProcess } from '../process.ts';

type CallerProcess = Pick<LabProcess, 'child' | 'ended' | 'signal'>;

/** Where processes are started in pods; `caller.mjs` lies in their working folder. */
export interface PodProcesses {
  spawn(pod: string, argv: readonly string[]): CallerProcess;
}

export interface HttpCall {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Over a connection that stays open between calls. */
  readonly reuse?: boolean;
  readonly timeoutMs?: number;
}

export interface HttpAnswer {
  /** 0: no answer. */
  readonly status: number;
  readonly error?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly trailers?: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What `programs/echo.mjs` says about a request. */
export interface Echo {
  readonly pod: string;
  readonly version: string;
  readonly from: string;
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Requests with the `count` or `peek` of the query, and the host that the last one asked for. */
  readonly seen: number;
  readonly host?: string;
}

export interface Tally {
  readonly statuses: Readonly<Record<string, number>>;
  readonly versions: Readonly<Record<string, number>>;
  readonly pods: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
}

export interface LoadFailure {
  /** Wall time. */
  readonly begunAtMs: number;
  readonly tookMs: number;
  readonly error: string;
  /** Its `x-request-id`. */
  readonly id: string;
}

/** What is held: a TCP connection, or one of HTTP/1.1 by what was asked for on it. `idle` waits for requests that never come. */
export type HeldKind = 'tcp' | 'upgraded' | 'streaming' | 'idle';

export interface HeldEnd {
  /** `CLOSED`: in order. */
  readonly error: string;
  /** Wall time. */
  readonly endedAtMs: number;
}

export interface LoadReport {
  readonly sent: number;
  readonly ok: number;
  readonly errors: Readonly<Record<string, number>>;
  /** The first ten thousand. */
  readonly failures: readonly LoadFailure[];
  /** The longest time without a good answer. */
  readonly gapMs: number;
  /** The most that stood at a time, of a load that reuses them. */
  readonly connections: number;
}

export interface TcpCall {
  readonly host: string;
  readonly port: number;
  readonly send?: string;
  /** For the first line of the server before it sends. */
  readonly wait?: boolean;
}

export interface TcpAnswer {
  readonly received: string;
  readonly bytes: number;
  readonly error?: string;
}

export interface TunnelCall {
  readonly host: string;
  readonly authority: string;
  /** PEM; none: no certificate is shown. */
  readonly certificate?: string;
  readonly key?: string;
}

export interface TunnelAnswer {
  /** 0: no answer to CONNECT. */
  readonly status: number;
  readonly error?: string;
}

export class Caller implements AsyncDisposable {
  readonly #process: CallerProcess;
  readonly #waiting = new Map<number, (answer: unknown) => void>();
  #last = 0;

  constructor(pods: PodProcesses, pod: string) {
    this.#process = pods.spawn(pod, ['node', 'caller.mjs']);
    const { stdout, stderr } = this.#process.child;
    if (stdout === null || stderr === null) {
      throw new Error('the caller has no pipes');
    }
    stderr.pipe(process.stderr, { end: false });
    createInterface({ input: stdout }).on('line', (line) => {
      const { id, answer } = JSON.parse(line) as { id: number; answer: unknown };
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    });
  }

  async http(call: HttpCall): Promise<HttpAnswer> {
    return (await this.#ask('http', call)) as HttpAnswer;
  }

  /** GET, or the echo of it. Throws when the answer is not 200. */
  async echo(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Echo> {
    const answer = await this.http({ url, headers });
    if (answer.status !== 200) {
      throw new Error(`${url}: ${answer.status} ${answer.error ?? answer.body}`);
    }
    return JSON.parse(answer.body) as Echo;
  }

  async http2(call: HttpCall & { readonly grpc?: boolean }): Promise<HttpAnswer> {
    return (await this.#ask('http2', call)) as HttpAnswer;
  }

  async many(
    request: HttpCall,
    count: number,
    parallel = 16,
    protocol: 'http' | 'http2' = 'http',
  ): Promise<Tally> {
    return (await this.#ask('many', { request, count, parallel, protocol })) as Tally;
  }

  async tcp(call: TcpCall): Promise<TcpAnswer> {
    return (await this.#ask('tcp', call)) as TcpAnswer;
  }

  /** CONNECT at port 15008 with a certificate of the test's own. */
  async tunnel(call: TunnelCall): Promise<TunnelAnswer> {
    return (await this.#ask('tunnel', call)) as TunnelAnswer;
  }

  /** Serves port 15008 with a certificate of the test's own, and no other any more. */
  async show(papers: { readonly certificate?: string; readonly key?: string }): Promise<void> {
    await this.#ask('show', papers);
  }

  /** How many tunnels were opened by those who met what was shown. */
  async tunnels(): Promise<number> {
    return ((await this.#ask('tunnels', {})) as { opened: number }).opened;
  }

  /** Opens a connection that stays, by a name of the caller's. */
  async hold(
    name: string,
    host: string,
    port: number,
    as: HeldKind = 'tcp',
  ): Promise<{ ok: boolean; error?: string }> {
    return (await this.#ask('hold', { name, host, port, as })) as { ok: boolean; error?: string };
  }

  async ping(name: string, timeoutMs = 5_000): Promise<{ ok: boolean; error?: string }> {
    return (await this.#ask('ping', { name, timeoutMs })) as { ok: boolean; error?: string };
  }

  /** By name, of what `hold` opened and has ended. */
  async ends(): Promise<Readonly<Record<string, HeldEnd>>> {
    return (await this.#ask('ends', {})) as Readonly<Record<string, HeldEnd>>;
  }

  /** Closes what `hold` opened, and idle connections of requests with `reuse`. */
  async release(): Promise<void> {
    await this.#ask('release', {});
  }

  async dns(name: string, family: 4 | 6): Promise<{ addresses: string[]; error?: string }> {
    return (await this.#ask('dns', { name, family })) as { addresses: string[]; error?: string };
  }

  /**
   * Requests one after the other's start, every `everyMs`, until `stopLoad`; with `reuse` and `each` over so many connections in turn.
   */
  async startLoad(name: string, request: HttpCall, everyMs = 20, each = 0): Promise<void> {
    await this.#ask('load', { name, request, everyMs, each });
  }

  /** What a load has seen so far. */
  async lookAtLoad(name: string): Promise<LoadReport> {
    return (await this.#ask('look', { name })) as LoadReport;
  }

  async stopLoad(name: string): Promise<LoadReport> {
    return (await this.#ask('stop', { name })) as LoadReport;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.signal('SIGKILL');
    await this.#process.ended;
  }

  async #ask(operation: string, options: object): Promise<unknown> {
    this.#last += 1;
    const id = this.#last;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.set(id, resolve);
    void this.#process.ended.then(({ code, error }) => {
      reject(new Error(`the caller ended (${error ?? code}) before it answered`));
    });
    this.#process.child.stdin?.write(`${JSON.stringify({ id, operation, ...options })}\n`);
    return await promise;
  }
}
