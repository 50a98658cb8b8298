/** Clients that ask one thing after the other, a moment apart, and take the time of each. */
import { Agent, request } from 'node:http';
import { systemClock } from '@ambit/core';
import { ClientSession, MESH_LIMITS } from '@ambit/h2';
import { REQUEST } from '../peers/http-rules.ts';
import { dialConn, type TunnelTarget } from './attack-targets.ts';

const EVERY_MS = 2;

/** Milliseconds. */
export interface Times {
  readonly p50: number;
  readonly p99: number;
}

function quantile(values: readonly number[], share: number): number {
  const at = Math.min(values.length - 1, Math.floor(values.length * share));
  return values.toSorted((a, b) => a - b)[at] ?? Number.NaN;
}

/** For `forMs`. Rejects when one is not answered. */
async function timesOf(ask: () => Promise<void>, forMs: number): Promise<Times> {
  const took: number[] = [];
  const until = performance.now() + forMs;
  while (performance.now() < until) {
    const begunAt = performance.now();
    await ask();
    took.push(performance.now() - begunAt);
    await systemClock.sleep(EVERY_MS);
  }
  return { p50: quantile(took, 0.5), p99: quantile(took, 0.99) };
}

/** Requests of HTTP/1.1 on one connection, which a rule allows and a server answers. */
export class HttpClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  async times(forMs: number): Promise<Times> {
    return await timesOf(async () => await this.#ask(), forMs);
  }

  async #ask(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const headers = { ...REQUEST.headers, Host: 'app' };
    const outgoing = request({ port: this.#port, path: REQUEST.path, agent: this.#agent, headers });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      if (response.statusCode !== 200) {
        reject(new Error(`answered with ${response.statusCode}`));
      }
      response.resume().on('end', resolve);
    });
    outgoing.end();
    await promise;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** A tunnel through one session, a byte to the application and back, and its end. */
export class TunnelClient {
  readonly #session: ClientSession;
  readonly #authority: string;

  private constructor(session: ClientSession, authority: string) {
    this.#session = session;
    this.#authority = authority;
  }

  static async connect(target: TunnelTarget): Promise<TunnelClient> {
    const transport = await dialConn(target, target.client);
    const session = new ClientSession({ transport, clock: systemClock, limits: MESH_LIMITS });
    return new TunnelClient(session, target.authority);
  }

  async times(forMs: number): Promise<Times> {
    return await timesOf(async () => await this.#ask(), forMs);
  }

  async #ask(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = (error?: Error): void => reject(error ?? new Error('the tunnel is over'));
    const stream = this.#session.request(
      {
        ...{ method: 'CONNECT', scheme: undefined, path: undefined },
        ...{ authority: this.#authority, fields: [] },
      },
      {
        onResponse: ({ status }) =>
          status === 200 ? stream.write(Buffer.from('x')) : fail(new Error(`status ${status}`)),
        onNoResponse: fail,
      },
    );
    stream.start({
      onData: () => {
        stream.end();
      },
      onEnd: resolve,
      onDrain: () => undefined,
      onClose: fail,
    });
    await promise;
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }
}
