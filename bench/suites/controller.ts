/**
 * The controller on an API server with 10,000 pods and 100 changes a second: how long until every agent has answered for
 * a change, and what the controller takes for it.
 *
 * `direct` is a bare watch of the same events in the same seconds: what API server, machine and generator need without
 * any controller. What Ambit adds is the difference for each change.
 */
import { join } from 'node:path';
import { openTestCluster } from '@ambit/kube/testing';
import { bundleApp } from '../../tools/bundle.ts';
import { ApiCalls } from '../cluster/api-calls.ts';
import { temporaryFolder } from '../measure/program.ts';
import type { Metric } from '../measure/result.ts';
import { runRounds } from '../measure/rounds.ts';
import { ChangeLoad } from './controller-load.ts';
import { Agents, ControllerProcess } from './controller-process.ts';
import { Truth } from './controller-truth.ts';
import { World } from './controller-world.ts';
import type { HeldByAgents } from './held-state.ts';
import type { Suite } from './suite.ts';

const MEBIBYTE = 1024 * 1024;
const CASE = 'changes';

const metric = (key: string, title: string, digits: number): Metric => ({
  ...{ case: CASE, key, title, digits },
  better: 'lower',
});

const METRICS: readonly Metric[] = [
  {
    ...metric('changesPerSecond', 'changes a second that the API server took', 0),
    better: 'higher',
  },
  metric('p50Ms', 'change due → seen or acknowledged by all, P50, ms', 1),
  metric('p99Ms', 'the same, P99, ms', 1),
  metric('addedP50Ms', 'API event → acknowledged by all agents, P50, ms', 1),
  metric('addedP99Ms', 'the same, P99, ms', 1),
  metric('cpuSecondsPer1000', 'CPU-seconds of the controller per 1000 changes', 2),
  metric('overtaken', 'changes that another one overtook on the way', 0),
  metric('startMs', 'start of the process to serving, ms', 0),
  metric('residentMegabytes', 'RSS before the changes, MB', 0),
  metric('peakMegabytes', 'most RSS, MB', 0),
];

/** Where a profile shows the files that people read. */
const SOURCE = join(import.meta.dirname, '..', '..', 'apps', 'controller', 'src', 'main.ts');

/** What the image holds: from source, a third of the start is reading TypeScript. */
async function bundled(folder: string): Promise<string> {
  const dist = join(folder, 'dist');
  await bundleApp('controller', dist);
  return join(dist, 'main.mjs');
}

export const runController: Suite = async ({ rounds, quick, onProgress, signal }) => {
  const settings = quick
    ? {
        pods: 500,
        services: 50,
        policies: 40,
        namespaces: 10,
        nodes: 2,
        agents: 2,
        perSecond: 50,
        seconds: 5,
      }
    : {
        pods: 10_000,
        services: 1_000,
        policies: 500,
        namespaces: 50,
        nodes: 10,
        agents: 10,
        perSecond: 100,
        seconds: 60,
      };
  const profile = process.env['AMBIT_BENCH_PROFILE'] ?? '';
  using folder = temporaryFolder();
  await using cluster = await openTestCluster('bench', { isOwn: true });
  const { kubeconfigPath } = cluster;
  using api = await ApiCalls.open(kubeconfigPath);
  const world = new World(api, settings);
  await world.create(onProgress);
  for (let node = 0; node < settings.agents; node += 1) await world.createAgent(node);
  const truth = new Truth(api, world);
  onProgress(`the cluster's node controller had marked ${await truth.settle()} pods as not ready`);
  const load = new ChangeLoad(api, world);
  const watching = new AbortController();
  for (const path of ['/api/v1/pods', '/apis/security.istio.io/v1/authorizationpolicies']) {
    const onEvent = load.watched.bind(load);
    await api.watch(path, { signal: watching.signal, onEvent });
  }
  const main = profile === '' ? await bundled(folder.path) : SOURCE;
  const direct: Record<string, number>[] = [];
  const measureAmbit = async (): Promise<Record<string, number>> => {
    const nodeArguments = profile === '' ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
    const place = { main, kubeconfigPath, folder: folder.path, nodeArguments };
    await using controller = await ControllerProcess.start(place);
    const { address, startMs } = controller;
    const onAnswered = load.answered.bind(load);
    const options = { count: settings.agents, address, onAnswered };
    await using agents = await Agents.start({ api, world, folder: folder.path }, options);
    const held = (): Promise<HeldByAgents> => agents.held();
    const unready = await truth.unready();
    const before = controller.usage();
    const values = await load.run({
      ...{ perSecond: settings.perSecond, seconds: settings.seconds, unready },
      differences: async () => await truth.differences(held),
    });
    const after = controller.usage();
    // Whatever was answered on the way: in the end nothing may be missing, stale or left over.
    await truth.agree(held);
    const thousands = (settings.perSecond * settings.seconds) / 1_000;
    direct.push({ p50Ms: values['watchP50Ms'] ?? 0, p99Ms: values['watchP99Ms'] ?? 0 });
    return {
      p50Ms: values['agentsP50Ms'] ?? 0,
      p99Ms: values['agentsP99Ms'] ?? 0,
      ...values,
      cpuSecondsPer1000: (after.cpuMs - before.cpuMs) / 1_000 / thousands,
      startMs,
      residentMegabytes: before.residentBytes / MEBIBYTE,
      peakMegabytes: controller.peakBytes() / MEBIBYTE,
    };
  };
  try {
    const { samples, failures } = await runRounds({
      rounds,
      cases: [CASE],
      subjectsOf: () => ['ambit'],
      measure: measureAmbit,
      onProgress,
      signal,
    });
    // Measured beside Ambit in the same sample, so under the same conditions.
    const floors = samples.map((sample, index) => ({
      ...sample,
      subject: 'direct',
      values: direct[index] ?? {},
    }));
    return {
      settings: {
        ...settings,
        mix: '70 % readiness of a pod, 10 % pods added, 10 % removed, 10 % policies',
      },
      subjects: [
        {
          name: 'direct',
          title: 'bare watch',
          version: '',
          note: 'a client that does no more than read the watch, in the same seconds: API server, machine and generator',
        },
        {
          name: 'ambit',
          title: 'Ambit',
          version: '',
          note: 'controller as its image holds it, one replica, until the last of all agents has answered; API server, etcd, its controllers (which write an EndpointSlice for nearly every change), generator and agents share the machine',
        },
      ],
      skipped: [],
      metrics: METRICS,
      samples: [...floors, ...samples],
      failures,
    };
  } finally {
    watching.abort();
  }
};
