/**
 * `bench -- attacks`: what a healthy client of the HTTP engine feels of an attack beside it, with the engine, the attacker and the
 * client each in a process of its own. Times with and without the attack are taken in turn, so that what else the machine does
 * counts on both sides; the medians of the rounds are compared.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';
import { dirname, join } from 'node:path';
import { systemClock } from '@ambit/core';
import { H2_ATTACKS } from '@ambit/h2/testing';
import { H1_ATTACKS } from '../libs/http/src/fixtures/attacks.ts';
import { describeMachine, type Machine } from './measure/machine.ts';

const ROOT = dirname(import.meta.dirname);
const PROGRAMS = join(import.meta.dirname, 'programs');
const ROUNDS = 5;
const WINDOW_MS = 800;
/** What was under way before belongs to neither. */
const SETTLE_MS = 150;
const EVERY_MS = 2;

interface Times {
  readonly p50: number;
  readonly p99: number;
}

export interface AttackRow {
  readonly attack: string;
  /** Milliseconds; medians of the rounds. */
  readonly calm: Times;
  readonly attacked: Times;
  /** Of the rounds' own ratios, the median. */
  readonly ratio: Times;
}

export interface AttacksResult {
  readonly suite: 'attacks';
  readonly startedAt: string;
  readonly machine: Machine;
  readonly rows: readonly AttackRow[];
}

const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[
    Math.min(values.length - 1, Math.floor(values.length * share))
  ] ?? Number.NaN;
const median = (values: readonly number[]): number => quantile(values, 0.5);

class HealthyClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #options: { readonly port: number; readonly path: string };

  constructor(port: number) {
    this.#options = { port, path: '/' };
  }

  /** Requests one after the other for `forMs`. Throws when one is not answered. */
  async times(forMs: number): Promise<Times> {
    const took: number[] = [];
    const until = performance.now() + forMs;
    while (performance.now() < until) {
      const begunAt = performance.now();
      await this.#ask();
      took.push(performance.now() - begunAt);
      await systemClock.sleep(EVERY_MS);
    }
    return { p50: quantile(took, 0.5), p99: quantile(took, 0.99) };
  }

  async #ask(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const outgoing = request({ ...this.#options, agent: this.#agent, headers: { host: 'app' } });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => response.resume().on('end', resolve));
    outgoing.end();
    await promise;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

function start(name: string, argv: readonly string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, [join(PROGRAMS, name), ...argv]);
  child.stderr.pipe(process.stderr, { end: false });
  return child;
}

async function measure(
  client: HealthyClient,
  attacker: ChildProcessWithoutNullStreams,
  attack: string,
): Promise<AttackRow> {
  const calm: Times[] = [];
  const attacked: Times[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, times] of [
      ['', calm],
      [attack, attacked],
    ] as const) {
      attacker.stdin.write(`${name}\n`);
      await systemClock.sleep(SETTLE_MS);
      times.push(await client.times(WINDOW_MS));
    }
  }
  const of = (all: readonly Times[]): Times => ({
    p50: median(all.map(({ p50 }) => p50)),
    p99: median(all.map(({ p99 }) => p99)),
  });
  const ratio = (pick: keyof Times): number =>
    median(attacked.map((times, round) => times[pick] / (calm[round]?.[pick] ?? Number.NaN)));
  return {
    attack,
    calm: of(calm),
    attacked: of(attacked),
    ratio: { p50: ratio('p50'), p99: ratio('p99') },
  };
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const at = server.address();
  server.close();
  return at !== null && typeof at === 'object' ? at.port : 0;
}

export async function measureAttacks(onProgress: (line: string) => void): Promise<AttacksResult> {
  const startedAt = new Date().toISOString();
  const [port, upstreamPort] = [await freePort(), await freePort()];
  const upstream = createServer((_request, response) => response.end('ok'));
  upstream.listen(upstreamPort, '127.0.0.1');
  const engine = start('http-engine.ts', [String(port), '127.0.0.1', String(upstreamPort)]);
  const attacker = start('attacker.ts', [String(port)]);
  try {
    await once(engine.stdout, 'data');
    using client = new HealthyClient(port);
    await client.times(WINDOW_MS);
    const rows: AttackRow[] = [];
    for (const { name } of [...H2_ATTACKS, ...H1_ATTACKS]) {
      const row = await measure(client, attacker, name);
      onProgress(`${name}: P50 ${row.ratio.p50.toFixed(2)}, P99 ${row.ratio.p99.toFixed(2)}`);
      rows.push(row);
    }
    return { suite: 'attacks', startedAt, machine: describeMachine(ROOT), rows };
  } finally {
    engine.kill('SIGKILL');
    attacker.kill('SIGKILL');
    upstream.closeAllConnections();
    upstream.close();
  }
}

export function writeAttacks(result: AttacksResult, file: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(result, undefined, 1)}\n`);
}
