/** `meshctl lab …`: a mesh on one machine. */
import type { Command } from 'commander';
import { registerLabExec } from './lab-exec.ts';
import { registerLabLogs } from './lab-logs.ts';
import { registerLabDown, registerLabStatus } from './lab-status.ts';
import { registerLabUp } from './lab-up.ts';

export function registerLab(program: Command): void {
  const lab = program
    .command('lab')
    .summary('a cluster with a mesh on this machine')
    .description(
      'Runs a cluster with a mesh on this machine: nodes and pods are network namespaces.',
    )
    .addHelpText('after', '\nExample:\n  meshctl lab up -f manifests/samples/bookshop');
  for (const register of [
    registerLabUp,
    registerLabExec,
    registerLabStatus,
    registerLabLogs,
    registerLabDown,
  ]) {
    register(lab);
  }
}
