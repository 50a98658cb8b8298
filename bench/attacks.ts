/**
 * `bench -- attacks`: what a healthy client of the HTTP engine, or of port 15008 of a pod, feels of an attack beside it, and how much
 * more memory is held meanwhile. Engine, attacker and client are processes of their own. Times with and without the attack are taken in
 * turn, so that what else the machine does counts on both sides; the medians of the rounds are compared.
 *
 * Attackers have a processor for themselves, as they are elsewhere. Client and engine share the others, so there is a third time, in
 * which the attack goes to a twin of the engine: what a client feels then is the machine's, and no limit of the engine could spare it.
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
  /** What a full collection leaves of what is attacked, in the midst of the attack, above the same without it; median. */
  readonly heldBytes: number;
  /** Resident, from before the first attack to after the last one: also what a collection has not looked at yet. */
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

/** Which processors this process may use, before it gives up one: `0-1,4`. */
const PROCESSORS =
  /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';

/** Attackers are on other machines: they have the last processor for themselves, where there is another one for all else. */
function separate(attackers: readonly Attacked[]): void {
  const processors = PROCESSORS.split(',').flatMap((range) => {
    const [from = NaN, to = from] = range.split('-').map(Number);
    return Array.from({ length: to - from + 1 }, (_, n) => from + n);
  });
  const last = processors.pop();
  if (last === undefined || processors.length === 0) {
    return;
  }
  const bind = (to: readonly number[], pid: number | undefined): void => {
    execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', to.join(), String(pid)]);
  };
  bind(processors, process.pid);
  for (const { program, attacker } of attackers) {
    bind(processors, program.pid);
    bind([last], attacker.pid);
  }
}

function start(name: string, argv: readonly string[]): ChildProcessWithoutNullStreams {
  const child = spawn(process.execPath, [join(PROGRAMS, name), ...argv]);
  child.stderr.pipe(process.stderr, { end: false });
  return child;
}

/** Code is compiled and pools are filled before anything is compared. */
async function warmUp({ here, twin, client, kind }: Scene): Promise<void> {
  separate([here, twin]);
  for (const attack of ['', ...ATTACKS[kind], '']) {
    for (const { attacker } of [here, twin]) {
      attacker.stdin.write(`${attack}\n`);
    }
    await client.times(WARM_MS);
  }
}

type Where = 'calm' | 'attacked' | 'elsewhere';

async function measure(scene: Scene, attack: string, rounds: number): Promise<AttackRow> {
  const { here, twin, client, kind } = scene;
  const { program } = here;
  const during = async (where: Where): Promise<void> => {
    here.attacker.stdin.write(`${where === 'attacked' ? attack : ''}\n`);
    twin.attacker.stdin.write(`${where === 'elsewhere' ? attack : ''}\n`);
    await systemClock.sleep(SETTLE_MS);
  };
  const times: Record<Where, Times[]> = { calm: [], attacked: [], elsewhere: [] };
  const held: number[] = [];
  const before = residentBytes(program);
  for (let round = 0; round < rounds; round += 1) {
    for (const where of ['calm', 'attacked', 'elsewhere'] as const) {
      await during(where);
      times[where].push(await client.times(WINDOW_MS));
    }
  }
  // Apart from the times: after a collection that was asked for V8 begins the next one sooner.
  for (let round = 0; round < rounds; round += 1) {
    await during('calm');
    const calm = await heldBytes(program);
    await during('attacked');
    await client.times(SETTLE_MS);
    held.push((await heldBytes(program)) - calm);
  }
  await during('calm');
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
    heldBytes: median(held),
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
      const { ratio, ratioElsewhere, heldBytes: held, grownBytes } = row;
      const grown = `${(held / 1e6).toFixed(1)} MB held, ${(grownBytes / 1e6).toFixed(1)} resident`;
      onProgress(
        `${kind} ${attack}: P50 ${ratio.p50.toFixed(2)}, P99 ${ratio.p99.toFixed(2)} (${ratioElsewhere.p99.toFixed(2)}), ${grown}`,
      );
      rows.push(row);
    }
  }
  return { suite: 'attacks', startedAt, machine: describeMachine(ROOT), rows };
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
