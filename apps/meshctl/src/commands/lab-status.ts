/** `meshctl lab status` and `meshctl lab down`. */
import { systemClock } from '@ambit/core';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { describeStatus, LAB_NAME_DEFAULT, labClient, note, print } from './lab-target.ts';

const STATUS_EXAMPLES = `
Examples:
  meshctl lab status
  meshctl lab status --name test -o json

Exit code 0: everything is ready. 1: something is not, or the lab is not running.`;

const DOWN_EXAMPLES = `
Examples:
  meshctl lab down
  meshctl lab down --name test`;

export function registerLabStatus(lab: Command): void {
  lab
    .command('status')
    .summary('show what runs')
    .description('Shows programs, pods, services and problems of a lab.')
    .option('--name <name>', 'name of the lab', LAB_NAME_DEFAULT)
    .option('-o, --output <format>', 'table, json or yaml', 'table')
    .addHelpText('after', STATUS_EXAMPLES)
    .action(async (options: { readonly name: string; readonly output: string }) => {
      const status = await labClient(options.name).status();
      if (options.output === 'json') {
        print(JSON.stringify(status, undefined, 2));
      } else {
        print(options.output === 'yaml' ? stringify(status).trimEnd() : describeStatus(status));
      }
      process.exitCode = status.isSettled ? 0 : 1;
    });
}

export function registerLabDown(lab: Command): void {
  lab
    .command('down')
    .summary('end a lab')
    .description('Ends a lab and removes everything of it.')
    .option('--name <name>', 'name of the lab', LAB_NAME_DEFAULT)
    .addHelpText('after', DOWN_EXAMPLES)
    .action(async (options: { readonly name: string }) => {
      await labClient(options.name).down(systemClock);
      note(`lab ${options.name}: gone`);
    });
}
