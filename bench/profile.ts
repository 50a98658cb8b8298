/**
 * `bench -- profile`: where agent and waypoint spend their time under load: CPU profiles of the threads that carry bytes, as tables
 * and collapsed stacks in `bench/results/DATE-profile.json`, and as flame graphs beside it. Shares, not costs: a profiler takes
 * time of its own. Each thread writes its profile when the time is over, and is waited for.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { systemClock } from '@ambit/core';
import { runH2load } from './generators/h2load.ts';
import { runIperf } from './generators/iperf.ts';
import { runWrk } from './generators/wrk.ts';
import { type CpuProfile, type ProfileSummary, summarizeProfile } from './measure/cpu-profile.ts';
import { flameGraph } from './measure/flame-graph.ts';
import { describeMachine, type Machine } from './measure/machine.ts';
import { temporaryFolder } from './measure/program.ts';
import { REQUEST } from './peers/http-rules.ts';
import { startOrigin } from './peers/nginx.ts';
import { type BenchLab, MESH } from './suites/bench-lab.ts';
import { startBenchLab } from './suites/mesh-start.ts';
import type { SuiteOptions } from './suites/suite.ts';
import { CONNECTING } from './suites/tunnel-measures.ts';
import { SERVER_PORTS } from './suites/tunnel-subjects.ts';
import { TUNNEL_MESH_YAML, TUNNEL_PLAIN_YAML } from './suites/tunnel-world.ts';
import { checkMesh } from './suites/waypoint.ts';
import { SERVICE_PORT } from './suites/waypoint-subjects.ts';
import { WAYPOINT_MESH_YAML, WAYPOINT_PLAIN_YAML } from './suites/waypoint-world.ts';

const ROOT = dirname(import.meta.dirname);
const CONNECTIONS = 64;
/** What is started and compiled first is of no interest. */
const WARM_SECONDS = 20;
/** A thread writes some megabytes. */
const WRITTEN_WITHIN_MS = 30_000;
/** Of each program in the table's file; the flame graph has them all. */
const STACKS_KEPT = 40;
const PROFILED_PROGRAM = join(import.meta.dirname, 'programs', 'profiled.mjs');

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

const wrkOver =
  (connections: number, headers: Readonly<Record<string, string>>) =>
  async (lab: BenchLab, address: string, seconds: number) => {
    const load = { url: `http://${address}:${SERVER_PORTS.web}/`, connections, headers, seconds };
    return await runWrk(lab.place(`${MESH}/client`).netns, load);
  };

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
  tunnelled('Agents: requests of 1 KB over 64 connections', wrkOver(CONNECTIONS, {})),
  tunnelled(
    'Agents: new connections, one request each',
    wrkOver(CONNECTING, { Connection: 'close' }),
  ),
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
    AMBIT_WORKERS: '1',
    AMBIT_PROFILES: profiles,
    NODE_OPTIONS: `--import=${pathToFileURL(PROFILED_PROGRAM).href}`,
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
    const warmSeconds = options.quick ? 2 : WARM_SECONDS;
    const loaded = load(lab, warmSeconds + seconds + 1);
    await systemClock.sleep(warmSeconds * 1_000);
    writeFileSync(join(profiles, 'start'), String(seconds * 1_000));
    await loaded;
    await written(profiles);
  }
  const summaries = profilesIn(profiles).map((file) =>
    summarizeProfile(JSON.parse(readFileSync(join(profiles, file), 'utf8')) as CpuProfile, ROOT),
  );
  const [busiest] = summaries.sort((a, b) => b.busyMs - a.busyMs);
  if (busiest === undefined) {
    throw new Error(`no profile of ${program} was written`);
  }
  return busiest;
}

const profilesIn = (folder: string): readonly string[] =>
  readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));

/** Resolves when every thread that has begun a profile has written it. Throws when one does not. */
async function written(folder: string): Promise<void> {
  const until = performance.now() + WRITTEN_WITHIN_MS;
  for (;;) {
    const begun = readdirSync(folder).filter((name) => name.endsWith('.started'));
    const done = new Set(profilesIn(folder));
    const missing = begun.filter((name) => !done.has(name.replace('.started', '.cpuprofile')));
    if (begun.length > 0 && missing.length === 0) {
      return;
    }
    if (performance.now() > until) {
      throw new Error(`no profile of ${missing.join(', ') || 'any thread'}`);
    }
    await systemClock.sleep(100);
  }
}

/** Keeps it as the latest profile, with a flame graph of each program beside it. Returns these files. */
export function writeProfile(result: ProfileResult, file: string): readonly string[] {
  mkdirSync(dirname(file), { recursive: true });
  rmSync(file, { force: true });
  const profiles = result.profiles.map(({ stacks, ...rest }) => {
    return { ...rest, stacks: stacks.slice(0, STACKS_KEPT) };
  });
  writeFileSync(file, `${JSON.stringify({ ...result, profiles }, undefined, 1)}\n`);
  return result.profiles.map(({ title, stacks }) => {
    const slug = title.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
    const graph = `${file.replace(/\.json$/, '')}-${slug}.svg`;
    writeFileSync(graph, flameGraph(title, stacks));
    return graph;
  });
}
