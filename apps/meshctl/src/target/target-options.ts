/** How people say which mesh a command is about; spelled alike everywhere. */
import type { Command } from 'commander';
import { addClusterOptions, type ClusterOptions } from '../install/cluster.ts';
import { acceptIstioNamespace } from '../install/options.ts';

export interface TargetOptions extends ClusterOptions {
  /** The global option: a socket's path or an `http://` address. */
  readonly controller?: string;
  /** Where Ambit is installed. */
  readonly meshNamespace?: string;
}

/** `--kubeconfig`, `--context`, `-i`; `--controller` is of the program itself. */
export function addTargetOptions(command: Command): Command {
  return acceptIstioNamespace(
    addClusterOptions(command).option(
      '-i, --mesh-namespace <name>',
      'where Ambit is installed (default: istio-system)',
    ),
  );
}

/** Of a command that `addTargetOptions` was used for. */
export function targetOptionsOf(command: Command): TargetOptions {
  return command.optsWithGlobals();
}
