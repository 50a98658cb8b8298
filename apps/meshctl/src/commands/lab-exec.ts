/** `meshctl lab exec`: a command in a pod's network, on this terminal, with the command's own exit code. */
import { constants } from 'node:os';
import type { Command } from 'commander';
import { LAB_NAME_DEFAULT, labClient } from './lab-target.ts';

const EXAMPLES = `
Examples:
  meshctl lab exec client -- node client.mjs http://productpage/
  meshctl lab exec shop/reviews-v1 -- sh
  meshctl lab exec reviews-v1-5f2a9c1e-0 --name test -- ip address

POD is a pod, or a Deployment (one of its pods), with or without "NAMESPACE/". The exit code is the command's.`;

const SIGNAL_EXIT_BASE = 128;

export function registerLabExec(lab: Command): void {
  lab
    .command('exec')
    .summary('run a command in a pod')
    .description('Runs a command in the network of a pod, with its names, folder and environment.')
    .argument('<pod>', 'pod or Deployment')
    .argument('<command...>', 'command and its arguments, after --')
    .option('--name <name>', 'name of the lab', LAB_NAME_DEFAULT)
    .option(
      '-c, --container <name>',
      'accepted for kubectl habits; all containers share the network',
    )
    .addHelpText('after', EXAMPLES)
    .action(labExec);
}

async function labExec(
  pod: string,
  command: readonly string[],
  options: { readonly name: string },
): Promise<void> {
  const child = await labClient(options.name).exec(pod, command);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once('error', reject);
  child.once('exit', (code, signal) => {
    resolve(signal === null ? (code ?? 1) : SIGNAL_EXIT_BASE + constants.signals[signal]);
  });
  // Ctrl-C is the command's; its end is this one's.
  process.on('SIGINT', () => undefined);
  process.exitCode = await promise;
}
