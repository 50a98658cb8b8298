/** `meshctl lab up`: a cluster with a mesh on this machine, from the YAML of `kubectl apply`. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { ControlServer, type Lab, LabError, labStart, startDetached } from '@ambit/lab';
import type { Command } from 'commander';
import { timeoutOption } from '../install/options.ts';
import { becomeRoot } from './lab-privileges.ts';
import {
  describeStatus,
  LAB_NAME_DEFAULT,
  labClient,
  labTarget,
  note,
  print,
} from './lab-target.ts';

const EXAMPLES = `
Examples:
  meshctl lab up -f manifests/samples/bookshop
  meshctl lab up -f my-yaml --name test --nodes 3 --detach
  meshctl lab exec client -- node client.mjs http://productpage/

A container's command runs as a process in the pod's own network namespace; its image is not used. Commands start
in the folder of their YAML file, with Node ${process.versions.node.split('.')[0]} as "node". Ends with Ctrl-C, or with "meshctl lab down".
Needs root, or user namespaces.`;

interface UpOptions {
  readonly filename: string;
  readonly name: string;
  readonly nodes: string;
  readonly detach: boolean;
  readonly mesh: boolean;
  readonly timeout: number;
}

export function registerLabUp(lab: Command): void {
  lab
    .command('up')
    .summary('start a lab')
    .description(
      'Starts a cluster with a mesh on this machine, from the same YAML as kubectl apply.',
    )
    .requiredOption('-f, --filename <folder>', 'folder or file of YAML; watched for changes')
    .option('--name <name>', 'name of the lab', LAB_NAME_DEFAULT)
    .option('--nodes <n>', 'number of nodes', '2')
    .option('--detach', 'leave it running and return when it is ready', false)
    .option('--no-mesh', 'only the cluster: no controller, agents and waypoints')
    .addOption(timeoutOption('--timeout <time>', 'how long to wait for pods', 60_000))
    .addHelpText('after', EXAMPLES)
    .action(labUp);
}

async function labUp(options: UpOptions): Promise<void> {
  const folder = resolve(options.filename);
  if (!existsSync(folder)) {
    throw new LabError(
      'LAB_INVALID_OPTION',
      `there is no "${options.filename}"; -f takes a folder or a file of YAML`,
    );
  }
  becomeRoot();
  const { name, root } = labTarget(options.name);
  const { timeout: timeoutMs } = options;
  const labOptions = { name, root, folder, nodes: Number(options.nodes), mesh: options.mesh };
  const onProgress = (line: string): void => note(`lab ${name}: starting ${line}`);
  if (options.detach) {
    await startDetached(labOptions, onProgress);
    await waitDetached(name, timeoutMs);
    return;
  }
  await hold(await labStart({ ...labOptions, onProgress }), timeoutMs);
}

async function waitDetached(name: string, timeoutMs: number): Promise<void> {
  const client = labClient(name);
  try {
    await client.ready(timeoutMs);
  } catch (error) {
    note(error instanceof Error ? error.message : String(error));
    note(`the lab runs on: meshctl lab logs --name ${name} NAME`);
    process.exitCode = 1;
  }
  print(describeStatus(await client.status()));
}

/** Until Ctrl-C or `lab down`. */
async function hold(lab: Lab, timeoutMs: number): Promise<void> {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const control = new ControlServer(lab, end);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) {
    process.on(signal, end);
  }
  try {
    await control.start();
    const ready = lab.ready(timeoutMs).then(
      () => note('ready; Ctrl-C ends it'),
      (error: unknown) => note(error instanceof Error ? error.message : String(error)),
    );
    await Promise.race([ready, ended]);
    print(describeStatus(lab.status()));
    await ended;
    note(`lab ${lab.name}: ending`);
  } finally {
    control.close();
    await lab.close();
  }
}
