/**
 * meshctl: how people use the mesh. Exit codes: 0 done, 1 not possible or not as wanted, 2 wrong usage, 70 a bug of
 * ours; a command that runs another one returns that one's.
 */
import { MeshError } from '@ambit/core';
import { Command } from 'commander';
import { registerLab } from './commands/lab-commands.ts';

const EXIT_USAGE = 2;
const EXIT_BUG = 70;

const program = new Command('meshctl')
  .description('The command line of Ambit, a service mesh without sidecars.')
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT_USAGE));
registerLab(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof MeshError) {
    process.stderr.write(`meshctl: ${error.message}\n`);
    process.exitCode = 1;
  } else {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exitCode = EXIT_BUG;
  }
}
