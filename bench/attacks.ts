/**
 * `bench -- attacks`: what a healthy client of the HTTP engine, or of port 15008 of a pod, feels of an attack beside it, and how much
 * more memory is held meanwhile. Engine, attacker and client are processes of their own. Times with and without the attack are taken in
 * turn, so that what else the machine does counts on both sides; the medians of the rounds are compared.
 *
 * Attackers have the last processor for themselves, where there is more than one; the result says which. Client and engine share the
 * others, so there is a third time, in which the attack goes to a twin of the engine: what a client feels then is the machine's, and no
 * limit of the engine could spare it.
 */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
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
const HELD_ROUNDS = 3;
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
  /** While a twin is attacked. */
  readonly elsewhere: Times;
  /** Attacked above calm; of the rounds' own ratios, the median. */
  readonly ratio: Times;
  /** The same above elsewhere. */
  readonly ratioElsewhere: Times;
  /** What two collections leave in what is attacked, in the midst of the attack, above the same without it; without idle memory of pools; median. */
  readonly heldBytes: number;
  /** Resident, from before the first attack to after the last one: also what a collection has not looked at yet, and what pools keep. */
  readonly grownBytes: number;
}

/** What is attacked, and who attacks it when told. */
interface Attacked extends Disposable {
  readonly target: AttackTarget;
  readonly program: ChildProcessWithoutNullStreams;
  readonly attacker: ChildProcessWithoutNullStreams;
}

/** The client is the first one's. */
interface Scene extends AsyncDisposable {
  readonly kind: AttackTarget['kind'];
  readonly here: Attacked;
  readonly twin: Attacked;
  readonly client: HttpClient | TunnelClient;
}

export interface AttacksResult {
  readonly suite: 'attacks';
  readonly startedAt: string;
  readonly machine: Machine;
  /** The processor that attackers had for themselves; absent: they shared the only one. */
  readonly attackersOn?: number;
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

/** Which processors this process may use. */
function processors(): readonly number[] {
  const status = readFileSync('/proc/self/status', 'utf8');
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(status)?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [from = NaN, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, n) => from + n);
  });
}

/** Attackers come from other machines: the last processor is theirs alone. */
function separate({ here, twin }: Scene, all: readonly number[]): void {
  const bind = (to: readonly number[], pid: number | undefined): void => {
    execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', to.join(), String(pid)]);
  };
  bind(all.slice(0, -1), process.pid);
  for (const { program, attacker } of [here, twin]) {
    bind(all.slice(0, -1), program.pid);
    bind(all.slice(-1), attacker.pid);
  }
}

function start(name: string, argv: readonly string[]): ChildProcessWithoutNullStreams {
  // An attacker that outlives us would attack on, beside whatever is measured next.
  const run = ['--pdeathsig', 'KILL', '--', process.execPath, join(PROGRAMS, name), ...argv];
  const child = spawn('setpriv', run);
  child.stderr.pipe(process.stderr, { end: false });
  return child;
}

/** Code is compiled and pools are filled before anything is compared. */
async function warmUp({ here, twin, client, kind }: Scene): Promise<void> {
  for (const attack of ['', ...ATTACKS[kind], '']) {
    for (const { attacker } of [here, twin]) {
      attacker.stdin.write(`${attack}\n`);
    }
    await client.times(WARM_MS);
  }
}

type Where = 'calm' | 'attacked' | 'elsewhere';

/** From now on. What was under way before is over when it resolves. */
async function during(where: Where, attack: string, { here, twin }: Scene): Promise<void> {
  here.attacker.stdin.write(`${where === 'attacked' ? attack : ''}\n`);
  twin.attacker.stdin.write(`${where === 'elsewhere' ? attack : ''}\n`);
  await systemClock.sleep(SETTLE_MS);
}

async function measureTimes(
  scene: Scene,
  attack: string,
  rounds: number,
): Promise<Omit<AttackRow, 'heldBytes'>> {
  const { here, client, kind } = scene;
  const times: Record<Where, Times[]> = { calm: [], attacked: [], elsewhere: [] };
  const before = residentBytes(here.program);
  for (let round = 0; round < rounds; round += 1) {
    for (const where of ['calm', 'attacked', 'elsewhere'] as const) {
      await during(where, attack, scene);
      times[where].push(await client.times(WINDOW_MS));
    }
  }
  await during('calm', attack, scene);
  const of = (where: Where): Times => ({
    p50: median(times[where].map(({ p50 }) => p50)),
    p99: median(times[where].map(({ p99 }) => p99)),
  });
  const above = (where: Where): Times => {
    const ratio = (pick: keyof Times): number =>
      median(times.attacked.map((t, round) => t[pick] / (times[where][round]?.[pick] ?? NaN)));
    return { p50: ratio('p50'), p99: ratio('p99') };
  };
  return {
    ...{ attack, target: kind },
    ...{ calm: of('calm'), attacked: of('attacked'), elsewhere: of('elsewhere') },
    ...{ ratio: above('calm'), ratioElsewhere: above('elsewhere') },
    grownBytes: residentBytes(here.program) - before,
  };
}

async function measureHeld(scene: Scene, attack: string): Promise<number> {
  const { here, client } = scene;
  const held: number[] = [];
  for (let round = 0; round < HELD_ROUNDS; round += 1) {
    await during('calm', attack, scene);
    const calm = await heldBytes(here.program);
    await during('attacked', attack, scene);
    await client.times(WINDOW_MS);
    held.push((await heldBytes(here.program)) - calm);
  }
  await during('calm', attack, scene);
  return median(held);
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
  const machine = describeMachine(ROOT);
  const all = processors();
  const isShared = all.length === 1;
  const rows: AttackRow[] = [];
  for (const kind of ['http', 'tunnel'] as const) {
    await using scene = await (kind === 'http' ? httpScene() : tunnelScene());
    if (!isShared) {
      separate(scene, all);
    }
    await warmUp(scene);
    const timed: Omit<AttackRow, 'heldBytes'>[] = [];
    for (const attack of ATTACKS[kind]) {
      const row = await measureTimes(scene, attack, rounds);
      const { ratio, ratioElsewhere } = row;
      const p99 = `${ratio.p99.toFixed(2)} (${ratioElsewhere.p99.toFixed(2)})`;
      onProgress(`${kind} ${attack}: P50 ${ratio.p50.toFixed(2)}, P99 ${p99}`);
      timed.push(row);
    }
    // Behind all times: after a collection that was asked for V8 begins the next one sooner.
    for (const row of timed) {
      const heldBytes = await measureHeld(scene, row.attack);
      const grown = `${(heldBytes / 1e6).toFixed(1)} MB held, ${(row.grownBytes / 1e6).toFixed(1)} resident`;
      onProgress(`${kind} ${row.attack}: ${grown}`);
      rows.push({ ...row, heldBytes });
    }
  }
  return {
    ...{ suite: 'attacks', startedAt, machine },
    ...(!isShared && { attackersOn: all.at(-1) ?? NaN }),
    rows,
  };
}

async function httpScene(): Promise<Scene> {
  const upstreamPort = await freePort();
  const upstream = createServer((_request, response) => response.end('ok'));
  upstream.listen(upstreamPort, '127.0.0.1');
  const engine = async (): Promise<Attacked> => {
    const port = await freePort();
    const program = start('http-engine.ts', [String(port), '127.0.0.1', String(upstreamPort)]);
    await once(program.stdout, 'data');
    return attacked(program, {
      ...{ kind: 'http', host: '127.0.0.1', port, client: '127.0.0.1', attacker: '127.0.0.2' },
    });
  };
  const [here, twin] = [await engine(), await engine()];
  const client = new HttpClient(here.target.port);
  return {
    ...{ kind: 'http', here, twin, client },
    [Symbol.asyncDispose]: async () => {
      for (const one of [client, here, twin]) {
        one[Symbol.dispose]();
      }
      upstream.closeAllConnections();
      upstream.close();
    },
  };
}

async function tunnelScene(): Promise<Scene> {
  const worker = async (): Promise<Attacked & { readonly target: TunnelTarget }> => {
    const program = start('tunnel-worker.ts', []);
    const [line] = (await once(program.stdout, 'data')) as [Buffer];
    const target = JSON.parse(line.toString()) as TunnelTarget;
    return { ...attacked(program, target), target };
  };
  const [here, twin] = [await worker(), await worker()];
  const client = await TunnelClient.connect(here.target);
  return {
    ...{ kind: 'tunnel', here, twin, client },
    [Symbol.asyncDispose]: async () => {
      for (const one of [client, here, twin]) {
        one[Symbol.dispose]();
      }
    },
  };
}

function attacked(program: ChildProcessWithoutNullStreams, target: AttackTarget): Attacked {
  const attacker = start('attacker.ts', [JSON.stringify(target)]);
  return {
    ...{ program, attacker, target },
    [Symbol.dispose]: () => {
      attacker.kill('SIGKILL');
      program.kill('SIGKILL');
    },
  };
}

export function writeAttacks(result: AttacksResult, file: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(result, undefined, 1)}\n`);
}
