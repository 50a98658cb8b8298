/**
 * `bench -- profile`: where agent and waypoint spend their time under load: CPU profiles of the threads that carry bytes, as tables
 * and collapsed stacks in `bench/results/DATE-profile.json`. Shares, not costs: a profiler takes time of its own.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runH2load } from './generators/h2load.ts';
import { runIperf } from './generators/iperf.ts';
import { runWrk } from './generators/wrk.ts';
import { type CpuProfile, type ProfileSummary, summarizeProfile } from './measure/cpu-profile.ts';
import { describeMachine, type Machine } from './measure/machine.ts';
import { temporaryFolder } from './measure/program.ts';
import { REQUEST } from './peers/http-rules.ts';
import { startOrigin } from './peers/nginx.ts';
import { type BenchLab, MESH } from './suites/bench-lab.ts';
import { startBenchLab } from './suites/mesh-start.ts';
import type { SuiteOptions } from './suites/suite.ts';
import { SERVER_PORTS } from './suites/tunnel-subjects.ts';
import { TUNNEL_MESH_YAML, TUNNEL_PLAIN_YAML } from './suites/tunnel-world.ts';
import { checkMesh } from './suites/waypoint.ts';
import { waypointPod } from './suites/waypoint-pod.ts';
import { SERVICE_PORT } from './suites/waypoint-subjects.ts';
import { WAYPOINT_MESH_YAML, WAYPOINT_PLAIN_YAML } from './suites/waypoint-world.ts';

const ROOT = dirname(import.meta.dirname);
const CONNECTIONS = 64;
/** From the end of a load to that of the program. */
const END_SECONDS = 2;

export interface ProfileResult {
  readonly suite: 'profile';
  readonly startedAt: string;
  readonly machine: Machine;
  readonly note?: string;
  /** The thread of each program that computed most. */
  readonly profiles: readonly (ProfileSummary & { readonly title: string })[];
}

type Program = 'agent' | 'waypoint';

interface Profiled {
  readonly title: string;
  readonly program: Program;
  readonly plainYaml: string;
  readonly meshYaml: string;
  readonly load: (lab: BenchLab, seconds: number) => Promise<unknown>;
}

const tunnelled = (
  title: string,
  load: (lab: BenchLab, address: string, seconds: number) => Promise<unknown>,
): Profiled => ({
  ...{ title, program: 'agent', plainYaml: TUNNEL_PLAIN_YAML, meshYaml: TUNNEL_MESH_YAML },
  load: async (lab, seconds) => await load(lab, lab.serviceAddress(`${MESH}/server`), seconds),
});

const requested = (title: string, run: typeof runWrk): Profiled => ({
  ...{ title, program: 'waypoint', plainYaml: WAYPOINT_PLAIN_YAML, meshYaml: WAYPOINT_MESH_YAML },
  load: async (lab, seconds) => {
    const url = `http://${lab.serviceAddress(`${MESH}/app`)}:${SERVICE_PORT}${REQUEST.path}`;
    const load = { url, connections: CONNECTIONS, headers: REQUEST.headers, seconds };
    return await run(lab.place(`${MESH}/client`).netns, load);
  },
});

const PROFILED: readonly Profiled[] = [
  tunnelled('Agents: bytes over 8 connections', async (lab, address, seconds) => {
    const client = lab.place(`${MESH}/client`).netns;
    const server = lab.place(`${MESH}/server`).netns;
    const port = SERVER_PORTS.bytes;
    return await runIperf({
      client,
      server,
      serverPort: port,
      address,
      port,
      connections: 8,
      seconds,
    });
  }),
  tunnelled('Agents: requests of 1 KB over 64 connections', async (lab, address, seconds) => {
    const url = `http://${address}:${SERVER_PORTS.web}/`;
    const load = { url, connections: CONNECTIONS, headers: {}, seconds };
    return await runWrk(lab.place(`${MESH}/client`).netns, load);
  }),
  requested('Waypoint: HTTP/1.1, mTLS on both sides', runWrk),
  requested('Waypoint: HTTP/2, mTLS on both sides', runH2load),
];

export async function profile(
  options: Pick<SuiteOptions, 'quick' | 'cache' | 'onProgress'> & { readonly note?: string },
): Promise<ProfileResult> {
  const startedAt = new Date().toISOString();
  const profiles: (ProfileSummary & { title: string })[] = [];
  for (const one of PROFILED) {
    options.onProgress(one.title);
    profiles.push({ title: one.title, ...(await profileOne(one, options)) });
  }
  const { note } = options;
  const machine = describeMachine(ROOT);
  return {
    suite: 'profile',
    startedAt,
    machine,
    ...(note === undefined ? {} : { note }),
    profiles,
  };
}

async function profileOne(
  { program, plainYaml, meshYaml, load }: Profiled,
  options: Pick<SuiteOptions, 'quick' | 'cache' | 'onProgress'>,
): Promise<ProfileSummary> {
  const seconds = options.quick ? 2 : 8;
  using folder = temporaryFolder();
  const profiles = join(folder.path, 'profiles');
  mkdirSync(profiles);
  const env = {
    ...{ AMBIT_WORKERS: '1', NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profiles}` },
    // A profile is written at the end of a process, which nobody is to wait for.
    CONNECTION_TERMINATION_DEADLINE: '1s',
  };
  const { lab: started, skipped } = await startBenchLab(
    { ...options, ambit: true },
    {
      extraEnv: { [program]: env },
      ...{ plainYaml, meshYaml, fromSource: true },
      check: async (lab) =>
        program === 'agent' ? await lab.waitForAgents() : await checkMesh(lab, folder.path),
    },
  );
  {
    await using lab = started;
    if (lab.lab.mesh === undefined) {
      throw new Error(skipped.map(({ reason }) => reason).join('; '));
    }
    const origin = { folder: folder.path, name: 'origin', port: SERVER_PORTS.web };
    await using _origin = await startOrigin(lab.place(`${MESH}/server`).netns, origin);
    await load(lab, seconds);
    await endProgram(lab, program);
  }
  const summaries = readdirSync(profiles).map((file) =>
    summarizeProfile(
      JSON.parse(readFileSync(join(profiles, file), 'utf8')) as CpuProfile,
      ROOT,
      (seconds + END_SECONDS) * 1_000,
    ),
  );
  const [busiest] = summaries.sort((a, b) => b.busyMs - a.busyMs);
  if (busiest === undefined) {
    throw new Error(`no profile of ${program} was written`);
  }
  return busiest;
}

/** By itself: what ends with the lab may be killed before it has written. */
async function endProgram({ lab }: BenchLab, program: Program): Promise<void> {
  const names =
    program === 'agent' ? ['agent/node1', 'agent/node2'] : [`pod/${waypointPod(lab)?.key ?? ''}`];
  for (const name of names) {
    await lab.stopComponent(name);
  }
}

/** Keeps it as the latest profile. */
export function writeProfile(result: ProfileResult, file: string): void {
  mkdirSync(dirname(file), { recursive: true });
  rmSync(file, { force: true });
  writeFileSync(file, `${JSON.stringify(result, undefined, 1)}\n`);
}
