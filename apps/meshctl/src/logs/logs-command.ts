/** `meshctl logs`: of controllers, agents and waypoints together, in the order in which it happened. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@ambit/core';
import type { KubeObject } from '@ambit/kube';
import { type Command, Option } from 'commander';
import { EXIT, UserError } from '../errors.ts';
import { type Cluster, textAt } from '../install/cluster.ts';
import { AGENT, CONTROLLER } from '../install/objects/common.ts';
import { parseTimeout } from '../install/options.ts';
import { note, print } from '../output.ts';
import { GATEWAY_NAME, PODS, podsOf, programLabel, WAYPOINT_PODS } from '../target/cluster-mesh.ts';
import { type MeshTarget, meshOf } from '../target/mesh-target.ts';
import { addTargetOptions } from '../target/target-options.ts';
import { clean, isRefusal, LineReader, type LogLine, refusalText } from './log-lines.ts';

interface LogsOptions {
  readonly namespace?: string;
  readonly node?: string;
  readonly since?: number;
  readonly tail?: string;
  readonly follow: boolean;
  readonly previous: boolean;
  readonly refused: boolean;
  readonly output: 'text' | 'json';
}

const EXAMPLES = `
Examples:
  meshctl logs controller --since 10m
  meshctl logs agent --node node1 -f
  meshctl logs waypoint -n shop --refused
  meshctl logs --refused -f                    # who is refused, where and why, everywhere

Without a name: all three. A name is controller, agent, waypoint, a pod of theirs or a Gateway. Lines are JSON as they
were written; --refused says one in a line, -o json has them whole. In a lab: meshctl lab logs follows one program.
Exit code 1: nothing of that name.`;

/** Logs that are read at a time; with -f all of them stay open. */
const PODS_MAX = 200;
const TAIL_DEFAULT = 200;

export function registerLogs(program: Command): void {
  addTargetOptions(program.command('logs'))
    .argument('[what]', 'controller, agent, waypoint, a pod or a Gateway')
    .summary('show logs of controllers, agents and waypoints together')
    .description('Shows logs of controllers, agents and waypoints, merged by time.')
    .option('-n, --namespace <name>', 'waypoints of this namespace')
    .option('--node <name>', 'what runs on this node')
    .addOption(new Option('--since <time>', 'newer than: 5m, 1h').argParser(parseTimeout))
    .option('--tail <lines>', `last lines of each (default: ${TAIL_DEFAULT}, all with --since)`)
    .option('-f, --follow', 'go on until Ctrl-C', false)
    .option('-p, --previous', 'of the run before the last restart', false)
    .option('--refused', 'only what was refused, and why', false)
    .addOption(new Option('-o, --output <format>').choices(['text', 'json']).default('text'))
    .addHelpText('after', EXAMPLES)
    .action(async (what: string | undefined, options: LogsOptions, command: Command) => {
      const mesh = meshOf(command);
      const { cluster } = mesh;
      if (cluster === undefined) showLabLogs(mesh, what, options);
      else await showClusterLogs({ ...mesh, cluster }, what, options);
    });
}

async function showClusterLogs(
  mesh: MeshTarget & { readonly cluster: Cluster },
  what: string | undefined,
  options: LogsOptions,
): Promise<void> {
  const pods = await findPods(mesh, what, options);
  if (pods.length > PODS_MAX) {
    throw new UserError(`${pods.length} pods are more than ${PODS_MAX}`, {
      fix: 'narrow it down: --node, -n, or a name',
    });
  }
  const isMany = pods.length > 1;
  const show = (line: LogLine): void => showLine(line, { ...options, isMany });
  if (options.follow) {
    await Promise.all(
      pods.map(async (pod) => {
        for await (const line of linesOf(mesh.cluster, pod, options)) show(line);
      }),
    );
    return;
  }
  const lines: LogLine[] = [];
  await Promise.all(
    pods.map(async (pod) => {
      for await (const line of linesOf(mesh.cluster, pod, options)) lines.push(line);
    }),
  );
  lines.sort((a, b) => a.atMs - b.atMs);
  for (const line of lines) show(line);
}

async function findPods(
  mesh: MeshTarget & { readonly cluster: Cluster },
  what: string | undefined,
  { namespace, node }: LogsOptions,
): Promise<readonly KubeObject[]> {
  const { cluster, meshNamespace } = mesh;
  const inMesh = (name: string) =>
    podsOf(cluster, { namespace: meshNamespace, labelSelector: programLabel(name) });
  const waypoints = () =>
    podsOf(cluster, {
      labelSelector: WAYPOINT_PODS,
      ...(namespace === undefined ? {} : { namespace }),
    });
  const kind = what?.replace(/s$/, '');
  const found =
    kind === 'controller' || kind === 'istiod'
      ? await inMesh(CONTROLLER)
      : kind === 'agent' || kind === 'ztunnel'
        ? await inMesh(AGENT)
        : kind === 'waypoint'
          ? await waypoints()
          : (await Promise.all([inMesh(CONTROLLER), inMesh(AGENT), waypoints()])).flat();
  const isKind = ['controller', 'istiod', 'agent', 'ztunnel', 'waypoint'].includes(kind ?? '');
  const chosen = found
    .filter((pod) => node === undefined || textAt(pod, 'spec', 'nodeName') === node)
    .filter((pod) => what === undefined || isKind || isNamed(pod, what));
  if (chosen.length > 0) return chosen;
  const other = what === undefined || isKind ? undefined : await findPod(mesh, what, namespace);
  if (other !== undefined) return [other];
  throw new UserError(
    `no log of ${what ?? 'Ambit'}${node === undefined ? '' : ` on node ${node}`}`,
    {
      why: `looked for controllers, agents and waypoints in ${mesh.where}`,
      fix:
        found.length === 0
          ? 'meshctl status says what there is'
          : `there are: ${found
              .slice(0, 10)
              .map(({ metadata }) => metadata.name)
              .join(', ')}`,
      exitCode: EXIT.finding,
    },
  );
}

/** `agent/node1`, `POD`, `NS/POD`, `GATEWAY`, `NS/GATEWAY`. */
function isNamed(pod: KubeObject, what: string): boolean {
  const { namespace = '', name, labels = {} } = pod.metadata;
  const names = [name, ...(labels[GATEWAY_NAME] === undefined ? [] : [labels[GATEWAY_NAME]])];
  const node = textAt(pod, 'spec', 'nodeName');
  return (
    names.some(
      (one) => what === one || what === `${namespace}/${one}` || what === `${one}.${namespace}`,
    ) || what === `agent/${node}`
  );
}

/** Of an application: what its agent said of it is in that agent's log. */
async function findPod(
  mesh: MeshTarget & { readonly cluster: Cluster },
  what: string,
  namespace = mesh.namespace ?? 'default',
): Promise<KubeObject | undefined> {
  const slash = what.indexOf('/');
  const place = slash === -1 ? namespace : what.slice(0, slash);
  const found = await mesh.cluster.client.find(PODS, {
    namespace: place,
    name: what.slice(slash + 1),
  });
  const node = textAt(found, 'spec', 'nodeName');
  if (found === undefined || node === '') return undefined;
  note(`${what} is served by the agent of ${node}`);
  const agents = await podsOf(mesh.cluster, {
    namespace: mesh.meshNamespace,
    labelSelector: programLabel(AGENT),
  });
  return agents.find((pod) => textAt(pod, 'spec', 'nodeName') === node);
}

async function* linesOf(
  { client }: Cluster,
  pod: KubeObject,
  options: LogsOptions,
): AsyncGenerator<LogLine> {
  const { namespace, name } = pod.metadata;
  const { follow, previous, since } = options;
  const tail =
    options.tail ?? (since === undefined && !options.refused ? String(TAIL_DEFAULT) : undefined);
  const reader = new LineReader(programName(pod));
  try {
    const response = await client.logs(
      { name, namespace },
      {
        follow,
        previous,
        ...(since === undefined ? {} : { sinceSeconds: Math.max(1, Math.ceil(since / 1_000)) }),
        ...(tail === undefined ? {} : { tailLines: Number(tail) }),
      },
    );
    response.setEncoding('utf8');
    for await (const chunk of response as AsyncIterable<string>) yield* reader.push(chunk);
    yield* reader.end();
  } catch (error) {
    // The others' logs are worth having.
    note(
      `no log of ${namespace}/${name}: ${error instanceof Error ? error.message : String(error)}`,
    );
    process.exitCode = EXIT.finding;
  }
}

/** Node of an agent, Gateway of a waypoint: what people look for, rather than a pod's name. */
function programName(pod: KubeObject): string {
  const { namespace, name, labels = {} } = pod.metadata;
  const gateway = labels[GATEWAY_NAME];
  if (gateway !== undefined) return `${namespace}/${name}`;
  return labels['app.kubernetes.io/name'] === AGENT
    ? `agent/${textAt(pod, 'spec', 'nodeName')}`
    : name;
}

function showLine(line: LogLine, options: LogsOptions & { readonly isMany: boolean }): void {
  if (options.refused && !isRefusal(line)) return;
  if (options.output === 'json') {
    print(JSON.stringify({ from: line.from, ...(line.json ?? { text: line.text }) }));
    return;
  }
  if (options.refused) print(refusalText(line));
  else print(clean(options.isMany ? `[${line.from}] ${line.text}` : line.text));
}

/** What the programs of a lab have printed so far. */
function showLabLogs(mesh: MeshTarget, what: string | undefined, options: LogsOptions): void {
  const folder = mesh.logsFolder;
  if (folder === undefined || options.follow) {
    throw new UserError('that log is not followed here', {
      fix: 'meshctl lab logs controller -f, or agent/NODE, or NS/WAYPOINT',
    });
  }
  const since = options.since === undefined ? 0 : systemClock.wallNow() - options.since;
  const wanted = what?.replace(/^(agent|waypoint)s?\//, '$1.');
  const lines = readdirSync(folder).flatMap((file): readonly LogLine[] => {
    const from = file.replace(/\.log$/, '');
    const isWanted = wanted === undefined || from.includes(wanted.replace('/', '.'));
    if (!isWanted || (options.node !== undefined && from !== `agent.${options.node}`)) return [];
    const reader = new LineReader(from);
    return [...reader.push(readFileSync(join(folder, file), 'utf8')), ...reader.end()];
  });
  const shown = lines
    // Applications print what they like; theirs is meshctl lab logs.
    .filter(({ json, atMs }) => json !== undefined && textAt(json, 'scope') !== '' && atMs >= since)
    .sort((a, b) => a.atMs - b.atMs);
  for (const line of shown) showLine(line, { ...options, isMany: true });
}
