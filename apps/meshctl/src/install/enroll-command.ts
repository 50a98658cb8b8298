/** `meshctl enroll` and `unenroll`: the label of a namespace, and what it means for the pods that are there. */
import { type Command, Option } from 'commander';
import { EXIT, UserError } from '../errors.ts';
import { printAs, table } from '../output.ts';
import {
  addClusterOptions,
  type ClusterOptions,
  fieldAt,
  gvr,
  listAt,
  textAt,
  withCluster,
} from './cluster.ts';

interface EnrollOptions extends ClusterOptions {
  readonly dryRun: boolean;
  readonly output: 'table' | 'json' | 'yaml';
}

const MODE_LABEL = 'istio.io/dataplane-mode';
const NAMESPACES = gvr('v1', 'namespaces');
const PODS = gvr('v1', 'pods');
const SYSTEM = ['kube-system', 'kube-public', 'kube-node-lease'];

const ENROLL_EXAMPLES = `
Examples:
  meshctl enroll shop --dry-run
  meshctl enroll shop

No pod is restarted: open connections go on as they are, new ones are encrypted.`;

const UNENROLL_EXAMPLES = `
Examples:
  meshctl unenroll shop

No pod is restarted. New connections are in clear, and no policy of the mesh holds for these pods any more.`;

export function registerEnroll(program: Command): void {
  for (const [verb, summary, examples] of [
    ['enroll', 'take the pods of a namespace into the mesh', ENROLL_EXAMPLES],
    ['unenroll', 'let the pods of a namespace go', UNENROLL_EXAMPLES],
  ] as const) {
    addClusterOptions(program.command(verb))
      .argument('<namespace>')
      .summary(summary)
      .description(
        `${summary.charAt(0).toUpperCase()}${summary.slice(1)}, by its label ${MODE_LABEL}.`,
      )
      .option('--dry-run', 'only say what would happen', false)
      .addOption(
        new Option('-o, --output <format>').choices(['table', 'json', 'yaml']).default('table'),
      )
      .addHelpText('after', examples)
      .action(async (namespace: string, options: EnrollOptions) => {
        await changeEnrolment(namespace, options, verb === 'enroll');
      });
  }
}

async function changeEnrolment(
  namespace: string,
  options: EnrollOptions,
  isEnrolling: boolean,
): Promise<void> {
  if (isEnrolling && SYSTEM.includes(namespace)) {
    throw new UserError(`namespace ${namespace} is not enrolled`, {
      why: 'the cluster itself lives there: it would depend on the mesh, which depends on it',
    });
  }
  await withCluster(options, async ({ client }) => {
    const found = await client.find(NAMESPACES, { name: namespace });
    if (found === undefined) {
      throw new UserError(`there is no namespace "${namespace}"`, { exitCode: EXIT.finding });
    }
    const before = found.metadata.labels?.[MODE_LABEL];
    const pods = await client.list(PODS, { namespace });
    const rows = pods.map((pod) => ({
      pod: pod.metadata.name,
      effect: effectOn(pod, isEnrolling),
    }));
    const isSame = isEnrolling ? before === 'ambient' : before === undefined;
    if (!options.dryRun && !isSame) {
      const patch = { metadata: { labels: { [MODE_LABEL]: isEnrolling ? 'ambient' : null } } };
      await client.patch(NAMESPACES, { name: namespace }, { type: 'merge', patch });
    }
    const change = {
      namespace,
      label: MODE_LABEL,
      from: before ?? null,
      to: isEnrolling ? 'ambient' : null,
    };
    printAs(options.output, { ...change, isDryRun: options.dryRun, pods: rows }, () => {
      const end = endLine({ namespace, isEnrolling, isSame, isDryRun: options.dryRun });
      const shown = rows.map(({ pod, effect }) => [pod, effect]);
      return rows.length === 0 ? end : `${table(['POD', 'EFFECT'], shown)}\n${end}`;
    });
  });
}

/** Its container has the name that a sidecar's has. */
export function isWaypointPod(pod: unknown): boolean {
  return textAt(pod, 'metadata', 'labels', 'gateway.istio.io/managed') !== '';
}

/** What enrolment of its namespace does to a pod (semantics of the label: a pod's own one wins). */
export function effectOn(pod: unknown, isEnrolling: boolean): string {
  const own = textAt(pod, 'metadata', 'labels', MODE_LABEL);
  const containers = [
    ...listAt(pod, 'spec', 'containers'),
    ...listAt(pod, 'spec', 'initContainers'),
  ];
  const hasSidecar =
    textAt(pod, 'metadata', 'annotations', 'sidecar.istio.io/status') !== '' ||
    containers.some((one) => textAt(one, 'name') === 'istio-proxy');
  // That it looks like a waypoint leaves no pod out: the label does.
  if (own === 'none' && isWaypointPod(pod)) return 'none: it is a waypoint';
  if (fieldAt(pod, 'spec', 'hostNetwork') === true) return 'none: it is in the network of its node';
  if (hasSidecar) return 'none: it has a sidecar of Istio; restart it without';
  if (own === 'none') return 'none: its own label says none';
  if (own === 'ambient') return 'none: its own label says ambient';
  if (['Succeeded', 'Failed'].includes(textAt(pod, 'status', 'phase'))) return 'none: it has ended';
  return isEnrolling ? 'new connections are captured' : 'new connections are not captured';
}

interface End {
  readonly namespace: string;
  readonly isEnrolling: boolean;
  readonly isSame: boolean;
  readonly isDryRun: boolean;
}

function endLine({ namespace, isEnrolling, isSame, isDryRun }: End): string {
  const state = isEnrolling ? 'enrolled' : 'not enrolled';
  if (isSame) return `namespace ${namespace} is ${state} already`;
  return isDryRun
    ? `Nothing was changed. It would be ${state}`
    : `✔ namespace ${namespace} is ${state}`;
}
