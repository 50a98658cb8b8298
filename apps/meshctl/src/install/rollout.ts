/** Waits until what was applied runs. */
import { UserError } from '../errors.ts';
import {
  type Cluster,
  describeTarget,
  fieldAt,
  findTarget,
  listAt,
  numberAt,
  type Target,
  textAt,
} from './cluster.ts';
import { AGENT, CONTROLLER } from './objects/common.ts';

const POLL_MS = 500;

export interface WaitOptions {
  readonly namespace: string;
  readonly timeoutMs: number;
  readonly say: (line: string) => void;
}

/** Controller, then agents. Throws a UserError that names what is missing when time is up. */
export async function waitForRollout(
  cluster: Cluster,
  { namespace, timeoutMs, say }: WaitOptions,
): Promise<void> {
  const deadline = cluster.clock.now() + timeoutMs;
  for (const [kind, name, title] of [
    ['Deployment', CONTROLLER, 'Controller'],
    ['DaemonSet', AGENT, 'Node agent'],
  ] as const) {
    const target = { apiVersion: 'apps/v1', kind, namespace, name };
    const startedAt = cluster.clock.now();
    await waitUntil(cluster, { deadline, what: describeTarget(target) }, async () => {
      const found = await findTarget(cluster, target);
      return found === undefined ? 'it is not there' : missing(target, found);
    });
    const seconds = ((cluster.clock.now() - startedAt) / 1_000).toFixed(0);
    say(`✔ ${title} is ready (${seconds} s)`);
  }
}

/** What is missing until a Deployment or DaemonSet runs as it is written; nothing when it does. */
export function missing({ kind }: Pick<Target, 'kind'>, found: unknown): string | undefined {
  if (numberAt(found, 'status', 'observedGeneration') < numberAt(found, 'metadata', 'generation')) {
    return 'the cluster has not looked at it yet';
  }
  const [wanted, updated, available] =
    kind === 'Deployment'
      ? [
          numberAt(found, 'spec', 'replicas'),
          numberAt(found, 'status', 'updatedReplicas'),
          numberAt(found, 'status', 'availableReplicas'),
        ]
      : [
          numberAt(found, 'status', 'desiredNumberScheduled'),
          numberAt(found, 'status', 'updatedNumberScheduled'),
          numberAt(found, 'status', 'numberAvailable'),
        ];
  if (updated < wanted) return `${updated} of ${wanted} pods are of this version`;
  if (available < wanted) return `${available} of ${wanted} pods are ready`;
  return undefined;
}

interface Waiting {
  readonly deadline: number;
  readonly what: string;
}

/** Asks again and again what is missing, until nothing is. */
export async function waitUntil(
  { clock }: Cluster,
  { deadline, what }: Waiting,
  missingNow: () => Promise<string | undefined>,
): Promise<void> {
  for (;;) {
    const why = await missingNow();
    if (why === undefined) return;
    if (clock.now() >= deadline) {
      throw new UserError(`${what} is not ready in time`, {
        why,
        fix: 'meshctl check says more; wait longer with --timeout',
      });
    }
    await clock.sleep(POLL_MS);
  }
}

/** Of a cleanup pod: `done`, `waiting`, or why it failed. */
export function cleanupState(pod: unknown): string {
  const status = listAt(pod, 'status', 'initContainerStatuses')[0];
  const code =
    fieldAt(status, 'state', 'terminated', 'exitCode') ??
    fieldAt(status, 'lastState', 'terminated', 'exitCode');
  if (code === 0) return 'done';
  if (typeof code === 'number')
    return `cleanup ended with ${code} on ${textAt(pod, 'spec', 'nodeName')}`;
  return 'waiting';
}
