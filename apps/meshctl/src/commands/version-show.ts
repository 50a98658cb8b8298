/** `meshctl version`: of this program, and of the controller where one answers. */
import type { Command } from 'commander';
import { getProxies } from '../admin-answers.ts';
import { UserError } from '../errors.ts';
import { type OutputFormat, printAs } from '../output.ts';
import { controllerOf } from '../target/mesh-target.ts';
import { addTargetOptions } from '../target/target-options.ts';
import { VERSION } from '../version.ts';
import { outputOption } from './shared-options.ts';

const EXAMPLES = `
Examples:
  meshctl version
  meshctl version --client -o json`;

interface VersionOptions {
  readonly client: boolean;
  readonly output: OutputFormat;
}

export function registerVersion(program: Command): void {
  addTargetOptions(program.command('version'))
    .summary('show versions')
    .description('Shows the version of meshctl and of the controller.')
    .option('--client', 'do not ask a controller', false)
    .addOption(outputOption())
    .addHelpText('after', EXAMPLES)
    .action(versionShow);
}

async function versionShow({ client, output }: VersionOptions, command: Command): Promise<void> {
  const controller = client ? undefined : await controllerVersion(command);
  const versions = { meshctl: VERSION, node: process.version, ...(controller && { controller }) };
  printAs(output, versions, () =>
    [
      `meshctl     ${VERSION} (Node ${process.version})`,
      ...(client ? [] : [`controller  ${controller ?? 'none answers'}`]),
    ].join('\n'),
  );
}

async function controllerVersion(command: Command): Promise<string | undefined> {
  try {
    return (await getProxies(await controllerOf(command))).controller.version;
  } catch (error) {
    // No controller is no reason to hide the version of meshctl.
    if (error instanceof UserError) return undefined;
    throw error;
  }
}
