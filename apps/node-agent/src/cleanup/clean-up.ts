/**
 * Takes everything of the agent off a node, for good.
 *
 * Rule: what is done is known from the disk alone (`RUN/pods`), so it works when no agent is left, and a pod that could not
 * be released keeps its file, so that the next run tries it again.
 */
import { readdirSync, rmdirSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import type { Clock } from '@ambit/core';
import { type Netns, NetnsError, openNetns } from '@ambit/netns';
import { describeError } from '@ambit/telemetry';
import { removeHostProbes } from '../capture/host-probes.ts';
import { removeCapture } from '../capture/pod-network.ts';
import { uninstallCni } from '../cni/install/cni-installer.ts';
import { ownSockets, servedAmong } from '../handover/served-sockets.ts';
import { PodStore, type StoredPod } from '../pods/store.ts';
import type { CleanupSettings } from './command-line.ts';

/** Longer than an agent's drain; Kubernetes gives 30 s. */
const STOP_MS = 60_000;
const POLL_MS = 100;

export interface CleanupOptions extends CleanupSettings {
  readonly clock: Clock;
  /** One line for people about each thing that was done. */
  readonly say: (line: string) => void;
}

export type CleanupOutcome =
  | { readonly kind: 'clean' }
  | { readonly kind: 'agent-runs'; readonly socket: string }
  /** What is left and why. */
  | { readonly kind: 'left'; readonly problems: readonly string[] };

/** Idempotent. Nothing is touched while an agent serves. */
export async function cleanUp(options: CleanupOptions): Promise<CleanupOutcome> {
  const socket = await runningAgent(options);
  if (socket !== undefined) {
    return { kind: 'agent-runs', socket };
  }
  const problems = [
    ...(await removePlugin(options)),
    ...(await releasePods(options)),
    ...(await attempt(`the node's rule for probes`, async () => {
      using host = openNetns(options.hostNetns);
      await removeHostProbes(host);
      options.say("removed the node's rule for probes");
    })),
  ];
  problems.push(
    ...(await attempt(`files in ${options.runDir}`, () => {
      removeFiles(options.runDir, problems.length === 0);
      return Promise.resolve();
    })),
  );
  return problems.length === 0 ? { kind: 'clean' } : { kind: 'left', problems };
}

/** Before anything else: from here on no new pod waits for an agent that never comes. */
async function removePlugin({ cni, say }: CleanupOptions): Promise<readonly string[]> {
  if (cni === undefined) {
    return [];
  }
  return await attempt('the CNI plugin', () => {
    const files = uninstallCni(cni);
    say(`removed the CNI plugin${files.length === 0 ? '' : ` from ${files.join(', ')}`}`);
    return Promise.resolve();
  });
}

/** A socket where an agent still answers, after it was told to end if that is wanted. */
async function runningAgent({
  runDir,
  stopsAgent,
  clock,
  say,
}: CleanupOptions): Promise<string | undefined> {
  const deadline = clock.now() + STOP_MS;
  const told = new Set<string>();
  for (;;) {
    const sockets = await servedAmong(
      ['admin.sock', 'agent.sock'].flatMap((name) => {
        const path = join(runDir, name);
        return [path, ...ownSockets(path)];
      }),
    );
    const [first] = sockets;
    if (first === undefined || !stopsAgent || clock.now() > deadline) {
      return first;
    }
    for (const socket of sockets.filter((one) => one.includes('admin.sock') && !told.has(one))) {
      told.add(socket);
      say(`telling the agent at ${socket} to end`);
      await tellToEnd(socket);
    }
    await clock.sleep(POLL_MS);
  }
}

/** Best effort: whether it ends is seen by its sockets. */
async function tellToEnd(socketPath: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const outgoing = request({
      socketPath,
      method: 'POST',
      path: '/quitquitquit',
      agent: false,
      timeout: STOP_MS,
    });
    outgoing.on('response', (response) => {
      response.resume();
    });
    outgoing.on('error', () => resolve());
    outgoing.on('close', () => resolve());
    outgoing.end();
  });
}

async function releasePods({ runDir, say }: CleanupOptions): Promise<readonly string[]> {
  const store = new PodStore(runDir);
  if (!names(runDir).includes('pods')) {
    return [];
  }
  const { pods, problems } = store.loadPods();
  const failures = await Promise.all(
    pods.map(async (stored) => {
      const { pod } = stored;
      const name = `pod ${pod.namespace}/${pod.name}`;
      return await attempt(name, async () => {
        say((await releasePod(stored)) ? `released ${name}` : `${name} is gone`);
        store.forgetPod(pod.uid);
      });
    }),
  );
  return [...problems.map((problem) => `${runDir}/pods/${problem}`), ...failures.flat()];
}

/** False: its namespace is not there any more, or is another one by now. */
async function releasePod({ pod, netnsId }: StoredPod): Promise<boolean> {
  let ns: Netns;
  try {
    ns = openNetns(pod.netnsPath);
  } catch (error) {
    if (error instanceof NetnsError && (error.errno === undefined || error.errno === 'ENOENT')) {
      return false;
    }
    throw error;
  }
  try {
    if (ns.id !== netnsId) {
      return false;
    }
    await removeCapture(ns);
    return true;
  } finally {
    ns[Symbol.dispose]();
  }
}

/** All of it, or, while pods are left, what would hold back new ones; then the folder itself, where it can go. */
function removeFiles(runDir: string, isAll: boolean): void {
  // A folder without `pods` was never an agent's.
  const found = names(runDir);
  if (!found.includes('pods')) {
    return;
  }
  const pods = join(runDir, 'pods');
  for (const name of found.filter((one) => one !== 'pods')) {
    rmSync(join(runDir, name), { recursive: true, force: true });
  }
  if (isAll) {
    rmSync(pods, { recursive: true });
    try {
      rmdirSync(runDir);
    } catch {
      // Somebody's mount, or made by somebody else: empty is enough.
    }
  }
}

function names(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      return [];
    }
    throw error;
  }
}

async function attempt(what: string, run: () => Promise<void>): Promise<readonly string[]> {
  try {
    await run();
    return [];
  } catch (error) {
    return [`${what}: ${describeError(error)}`];
  }
}
