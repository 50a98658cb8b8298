/** Options that several commands read alike: times, and where Ambit is installed. */
import { type Command, InvalidArgumentError, Option } from 'commander';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Milliseconds of `90`, `90s`, `5m`, `1h`. */
export function parseTimeout(written: string): number {
  const match = /^(\d{1,6})(ms|s|m|h)?$/.exec(written);
  if (match === null) throw new InvalidArgumentError('allowed: 90s, 5m, 1h');
  return Number(match[1]) * (UNITS[match[2] ?? 's'] ?? 1_000);
}

/** As people write it: `5m` for 300,000 ms. */
export function formatTimeout(ms: number): string {
  const unit = (['h', 'm', 's'] as const).find((one) => ms % (UNITS[one] ?? 1) === 0) ?? 'ms';
  return `${ms / (UNITS[unit] ?? 1)}${unit}`;
}

/** A time in milliseconds, whose default is shown as it would be written. */
export function timeoutOption(flags: string, description: string, defaultMs: number): Option {
  return new Option(flags, description)
    .argParser(parseTimeout)
    .default(defaultMs, formatTimeout(defaultMs));
}

/** `-n`, `--namespace` as helm has it, `-i` as commands that ask the mesh have it: all are `options.namespace`. */
export function addNamespaceOptions(
  command: Command,
  { description, preset }: { readonly description: string; readonly preset?: string },
): Command {
  command
    .option('-n, --namespace <name>', description, preset)
    .option('-i, --mesh-namespace <name>', 'the same');
  command.on('option:mesh-namespace', (name: string) => command.setOptionValue('namespace', name));
  return acceptIstioNamespace(command, 'namespace');
}

/** istioctl's long spelling of `-i`, taken and not shown. */
export function acceptIstioNamespace(command: Command, attribute = 'meshNamespace'): Command {
  command.addOption(new Option('--istioNamespace <name>').hideHelp());
  command.on('option:istioNamespace', (name: string) => command.setOptionValue(attribute, name));
  return command;
}
