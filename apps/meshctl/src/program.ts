/** All commands of meshctl, and what they have in common. */
import { Command, CommanderError } from 'commander';
import { registerCa } from './commands/ca-rotate.ts';
import { registerCompletion } from './commands/completion-show.ts';
import { registerWhy } from './commands/connection-why.ts';
import { registerDemo } from './commands/demo.ts';
import { registerFix } from './commands/file-fix.ts';
import { registerValidate } from './commands/file-validate.ts';
import { registerKubeInject } from './commands/kube-inject.ts';
import { registerLab } from './commands/lab-commands.ts';
import { registerComplete } from './commands/name-complete.ts';
import { registerGet } from './commands/object-get.ts';
import { registerVersion } from './commands/version-show.ts';
import { registerCheck } from './install/check-command.ts';
import { registerEnroll } from './install/enroll-command.ts';
import { registerInstall } from './install/install-commands.ts';
import { registerBypass } from './kubernetes/bypass-command.ts';
import { registerWaypoint } from './kubernetes/waypoint-command.ts';
import { registerLogs } from './logs/logs-command.ts';
import { registerProxyConfig } from './proxy-config/proxy-config-command.ts';
import { registerStatus } from './status/mesh-status.ts';

const HELP = `
Examples:
  meshctl install && meshctl enroll shop
  meshctl status
  meshctl why productpage reviews
  meshctl logs --refused -f
  meshctl lab up -f manifests/samples/bookshop       # without a cluster

The mesh that is asked: --controller or AMBIT_CONTROLLER, else the only lab that runs, else the cluster of the
kubeconfig (--context and --kubeconfig name one, -i the namespace where Ambit is installed).
Exit codes: 0 done · 1 a finding, a refusal, or something to correct · 2 wrong usage ·
69 the controller does not answer · 70 a bug of ours. Commands that run another one return its code.`;

export function createProgram(): Command {
  const program = new Command('meshctl')
    .description('The command line of Ambit, a service mesh without sidecars.')
    .option('--controller <socket>', "the controller's admin socket, or http://HOST:PORT")
    .showSuggestionAfterError()
    .addHelpText('after', HELP)
    .exitOverride();
  for (const register of [
    registerStatus,
    registerGet,
    registerWhy,
    registerProxyConfig,
    registerLogs,
    registerValidate,
    registerFix,
    registerLab,
    registerDemo,
    registerInstall,
    registerCheck,
    registerCa,
    registerEnroll,
    registerWaypoint,
    registerBypass,
    registerKubeInject,
    registerVersion,
    registerCompletion,
    registerComplete,
  ]) {
    register(program);
  }
  return program;
}

/** Commander's way of saying that it has printed help, a version or a usage error. */
export function isUsageEnd(error: unknown): error is CommanderError {
  return error instanceof CommanderError;
}
