/**
 * `bench -- attacks`: what a healthy client of the HTTP engine, or of port 15008 of a pod, feels of an attack beside it, and how much
 * more memory is held meanwhile. Engine, attacker and client are processes of their own. Times with and without the attack are taken in
 * turn, so that what else the machine does counts on both sides; the medians of the rounds are compared.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { systemClock } from '@ambit/core';
import { H2_ATTACKS } from '@ambit/h2/testing';
import { H1_ATTACKS } from '../libs/http/src/fixtures/attacks.ts';
import type { AttackTarget, TunnelTarget } from './measure/attack-targets.ts';
import { HttpClient, type Times, TunnelClient } from './measure/healthy-clients.ts';
import { describeMachine, type Machine } from './measure/machine.ts';

const ROOT = dirname(import.meta.dirname);
const PROGRAMS = join(import.meta.dirname, 'programs');
const ROUNDS = 5;
const WINDOW_MS = 800;
/** What was under way before belongs to neither. */
const SETTLE_MS = 150;
/** For each attack, before the first is measured. */
const WARM_MS = 300;

export interface AttackRow {
  readonly attack: string;
  readonly target: AttackTarget['kind'];
  /** Milliseconds; medians of the rounds. */
  readonly calm: Times;
  readonly attacked: Times;
  /** Of the rounds' own ratios, the median. */
  readonly ratio: Times;
  /** What a full collection leaves of what is attacked, in the midst of the attack, above the same without it; median. */
  readonly heldBytes: number;
  /** Resident, from before the first attack to after the last one: also what a collection has not looked at yet. */
  readonly grownBytes: number;
}

/** What is attacked, who attacks it and who else is there. */
interface Scene {
  readonly kind: AttackTarget['kind'];
  readonly program: ChildProcessWithoutNullStreams;
  readonly attacker: ChildProcessWithoutNullStreams;
  readonly client: HttpClient | TunnelClient;
}

export interface AttacksResult {
  readonly suite: 'attacks';
  readonly startedAt: string;
  readonly machine: Machine;
  readonly rows: readonly AttackRow[];
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

function residentBytes({ pid }: ChildProcessWithoutNullStreams): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** Asks `programs/held-bytes.ts` there. */
async function heldBytes({
  stdin,
  stdout,
}: Pick<ChildProcessWithoutNullStreams, 'stdin' | 'stdout'>): Promise<number> {
  stdin.write('held?\n');
  const [line] = (await once(stdout, 'data')) as [Buffer];
  const found = /^held (\d+)$/m.exec(line.toString());
  if (found === null) {
    throw new Error(`expected "held BYTES", got ${line.toString().slice(0, 80)}`);
  }
  return Number(found[1]);
}

function start(name: string, argv: readonly string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, [join(PROGRAMS, name), ...argv]);
  child.stderr.pipe(process.stderr, { end: false });
  return child;
}

/** Code is compiled and pools are filled before anything is compared. */
async function warmUp({ attacker, client, kind }: Scene): Promise<void> {
  for (const attack of ['', ...ATTACKS[kind], '']) {
    attacker.stdin.write(`${attack}\n`);
    await client.times(WARM_MS);
  }
}

async function measure(scene: Scene, attack: string, rounds: number): Promise<AttackRow> {
  const { attacker, client, program, kind } = scene;
  const calm: Times[] = [];
  const attacked: Times[] = [];
  const held: Record<'calm' | 'attacked', number[]> = { calm: [], attacked: [] };
  const before = residentBytes(program);
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, times, bytes] of [
      ['', calm, held.calm],
      [attack, attacked, held.attacked],
    ] as const) {
      attacker.stdin.write(`${name}\n`);
      await systemClock.sleep(SETTLE_MS);
      times.push(await client.times(WINDOW_MS));
      bytes.push(await heldBytes(program));
    }
  }
  attacker.stdin.write('\n');
  const of = (all: readonly Times[]): Times => ({
    p50: median(all.map(({ p50 }) => p50)),
    p99: median(all.map(({ p99 }) => p99)),
  });
  const ratio = (pick: keyof Times): number =>
    median(attacked.map((times, round) => times[pick] / (calm[round]?.[pick] ?? Number.NaN)));
  return {
    ...{ attack, target: kind, calm: of(calm), attacked: of(attacked) },
    ratio: { p50: ratio('p50'), p99: ratio('p99') },
    heldBytes: median(held.attacked.map((bytes, round) => bytes - (held.calm[round] ?? 0))),
    grownBytes: residentBytes(program) - before,
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

const ATTACKS: Readonly<Record<AttackTarget['kind'], readonly string[]>> = {
  http: [...[...H2_ATTACKS, ...H1_ATTACKS].map(({ name }) => name), 'slowloris'],
  tunnel: [...H2_ATTACKS.map(({ name }) => name), 'half-open handshakes', 'slow preface'],
};

export async function measureAttacks(
  onProgress: (line: string) => void,
  { rounds = ROUNDS }: { readonly rounds?: number } = {},
): Promise<AttacksResult> {
  const startedAt = new Date().toISOString();
  const rows: AttackRow[] = [];
  for (const kind of ['http', 'tunnel'] as const) {
    await using scene = await (kind === 'http' ? httpScene() : tunnelScene());
    await warmUp(scene);
    for (const attack of ATTACKS[kind]) {
      const row = await measure(scene, attack, rounds);
      const { ratio, heldBytes: held, grownBytes } = row;
      const grown = `${(held / 1e6).toFixed(1)} MB held, ${(grownBytes / 1e6).toFixed(1)} resident`;
      onProgress(
        `${kind} ${attack}: P50 ${ratio.p50.toFixed(2)}, P99 ${ratio.p99.toFixed(2)}, ${grown}`,
      );
      rows.push(row);
    }
  }
  return { suite: 'attacks', startedAt, machine: describeMachine(ROOT), rows };
}

async function httpScene(): Promise<Scene & AsyncDisposable> {
  const [port, upstreamPort] = [await freePort(), await freePort()];
  const upstream = createServer((_request, response) => response.end('ok'));
  upstream.listen(upstreamPort, '127.0.0.1');
  const program = start('http-engine.ts', [String(port), '127.0.0.1', String(upstreamPort)]);
  await once(program.stdout, 'data');
  const target: AttackTarget = {
    ...{ kind: 'http', host: '127.0.0.1', port, client: '127.0.0.1', attacker: '127.0.0.2' },
  };
  const attacker = start('attacker.ts', [JSON.stringify(target)]);
  const client = new HttpClient(port);
  return {
    ...{ kind: 'http', program, attacker, client },
    [Symbol.asyncDispose]: async () => {
      client[Symbol.dispose]();
      attacker.kill('SIGKILL');
      program.kill('SIGKILL');
      upstream.closeAllConnections();
      upstream.close();
    },
  };
}

async function tunnelScene(): Promise<Scene & AsyncDisposable> {
  const program = start('tunnel-worker.ts', []);
  const [line] = (await once(program.stdout, 'data')) as [Buffer];
  const target = JSON.parse(line.toString()) as TunnelTarget;
  const attacker = start('attacker.ts', [JSON.stringify(target)]);
  const client = await TunnelClient.connect(target);
  return {
    ...{ kind: 'tunnel', program, attacker, client },
    [Symbol.asyncDispose]: async () => {
      client[Symbol.dispose]();
      attacker.kill('SIGKILL');
      program.kill('SIGKILL');
    },
  };
}

export function writeAttacks(result: AttacksResult, file: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(result, undefined, 1)}\n`);
}
