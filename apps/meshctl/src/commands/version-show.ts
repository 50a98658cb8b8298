/** `meshctl version`: of this program, of the controllers, and of agents and waypoints. */
import type { Command } from 'commander';
import { UserError } from '../errors.ts';
import { note, type OutputFormat, printAs } from '../output.ts';
import { meshVersions } from '../status/mesh-versions.ts';
import { versionFindings } from '../status/version-findings.ts';
import { meshOf } from '../target/mesh-target.ts';
import { addTargetOptions } from '../target/target-options.ts';
import { VERSION } from '../version.ts';
import { outputOption } from './shared-options.ts';

const EXAMPLES = `
Examples:
  meshctl version
  meshctl version --client -o json

Versions of agents and waypoints are what they say themselves, else the tags of their images. What does not go together is
said on stderr, and under problems and warnings of -o json. Exit code 0, also when nobody answers.`;

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

interface ShownVersions {
  readonly controller?: string;
  /** Version to how many. */
  readonly controlPlane: Readonly<Record<string, number>>;
  readonly dataPlane: Readonly<Record<string, number>>;
  /** Versions that do not go together, and those that do while an upgrade runs. */
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

async function versionShow({ client, output }: VersionOptions, command: Command): Promise<void> {
  const found = client ? undefined : await versionsOf(command);
  const versions = { meshctl: VERSION, node: process.version, ...found };
  printAs(output, versions, () =>
    [
      `meshctl     ${VERSION} (Node ${process.version})`,
      ...(client ? [] : [`controller  ${counted(found?.controlPlane) || 'none answers'}`]),
      ...(counted(found?.dataPlane) === '' ? [] : [`data plane  ${counted(found?.dataPlane)}`]),
    ].join('\n'),
  );
  for (const line of [...(found?.problems ?? []), ...(found?.warnings ?? [])]) note(`‼ ${line}`);
}

/** No controller is no reason to hide the version of meshctl. */
async function versionsOf(command: Command): Promise<ShownVersions | undefined> {
  try {
    const found = await meshVersions(meshOf(command));
    const controllers = found.controllers
      .filter(({ name }) => !found.silent.includes(name))
      .map(({ version }) => version);
    const [controller] = controllers;
    return {
      ...(controller === undefined ? {} : { controller }),
      controlPlane: count(controllers),
      dataPlane: count(found.proxies.map(({ version }) => version)),
      ...versionFindings({ controllers, proxies: found.proxies }),
    };
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
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
