/** `meshctl version`: of this program, of the controllers, and of agents and waypoints. */
import type { Command } from 'commander';
import { getProxies } from '../admin-answers.ts';
import { UserError } from '../errors.ts';
import { note, type OutputFormat, printAs } from '../output.ts';
import { type MeshTarget, meshOf } from '../target/mesh-target.ts';
import { addTargetOptions } from '../target/target-options.ts';
import { VERSION } from '../version.ts';
import { outputOption } from './shared-options.ts';

const EXAMPLES = `
Examples:
  meshctl version
  meshctl version --client -o json

Versions of agents and waypoints are the tags of their images. Exit code 0, also when nobody answers.`;

interface VersionOptions {
  readonly client: boolean;
  readonly output: OutputFormat;
}

export function registerVersion(program: Command): void {
  addTargetOptions(program.command('version'))
    .summary('show versions')
    .description('Shows the version of meshctl, of the control plane and of the data plane.')
    .option('--client', 'do not ask a controller', false)
    .addOption(outputOption())
    .addHelpText('after', EXAMPLES)
    .action(versionShow);
}

interface MeshVersions {
  readonly controller?: string;
  /** Version to how many. */
  readonly controlPlane: Readonly<Record<string, number>>;
  readonly dataPlane: Readonly<Record<string, number>>;
}

async function versionShow({ client, output }: VersionOptions, command: Command): Promise<void> {
  const found = client ? undefined : await meshVersions(command);
  const versions = { meshctl: VERSION, node: process.version, ...found };
  printAs(output, versions, () =>
    [
      `meshctl     ${VERSION} (Node ${process.version})`,
      ...(client ? [] : [`controller  ${counted(found?.controlPlane) || 'none answers'}`]),
      ...(counted(found?.dataPlane) === '' ? [] : [`data plane  ${counted(found?.dataPlane)}`]),
    ].join('\n'),
  );
  // A tag that is no version says nothing of one.
  const all = new Set(
    [...Object.keys(found?.controlPlane ?? {}), ...Object.keys(found?.dataPlane ?? {})].filter(
      (version) => /^\d/.test(version),
    ),
  );
  if (all.size > 1) note('‼ versions differ: is an upgrade under way? (meshctl status)');
}

/** No controller is no reason to hide the version of meshctl. */
async function meshVersions(command: Command): Promise<MeshVersions | undefined> {
  try {
    const mesh = meshOf(command);
    const controllers = await controllerVersions(mesh);
    const [controller] = controllers;
    const proxies = (await mesh.proxies()).flatMap(({ version }) => version ?? []);
    return {
      ...(controller === undefined ? {} : { controller }),
      controlPlane: count(controllers),
      dataPlane: count(proxies),
    };
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

async function controllerVersions(mesh: MeshTarget): Promise<readonly string[]> {
  const answers = await Promise.allSettled(
    (await mesh.controllers()).map(async ({ client }) => await getProxies(client)),
  );
  return answers.flatMap((answer) =>
    answer.status === 'fulfilled' ? [answer.value.controller.version] : [],
  );
}

function count(versions: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const version of versions) counts[version] = (counts[version] ?? 0) + 1;
  return counts;
}

/** `0.1.0 (2), 0.0.9`; empty for nothing. */
function counted(counts: Readonly<Record<string, number>> | undefined): string {
  return Object.entries(counts ?? {})
    .map(([version, times]) => (times === 1 ? version : `${version} (${times})`))
    .join(', ');
}
