/** Dumps of the proxies that a command means, and which of their rows it wants. */
import { type Command, Option } from 'commander';
import { outputOption } from '../commands/shared-options.ts';
import { EXIT, UserError } from '../errors.ts';
import { note, type OutputFormat } from '../output.ts';
import { meshOf, type ProxyAdmin } from '../target/mesh-target.ts';
import { addTargetOptions } from '../target/target-options.ts';
import { readYamlFiles } from '../yaml-files.ts';
import { kindOfDump, nameOfDump, type ProxyDump, type Row } from './dump.ts';
import { type FoundProxies, findProxies } from './find-proxies.ts';

export interface ProxyConfigOptions {
  readonly namespace?: string;
  readonly node?: string;
  readonly filename?: string;
  readonly fqdn?: string;
  readonly port?: string;
  readonly address?: string;
  readonly workloadNamespace?: string;
  readonly serviceNamespace?: string;
  readonly policyNamespace?: string;
  readonly output: OutputFormat | 'short';
}

export function addReadOptions(command: Command): Command {
  const hidden = (flags: string): Option => new Option(flags).hideHelp();
  return addTargetOptions(command)
    .option('-n, --namespace <name>', 'namespace of the pod')
    .option('--node <name>', 'the agent of this node')
    .option('-f, --filename <file>', 'a saved config_dump instead')
    .option('--fqdn <text>', 'only services whose name has this')
    .option('--port <number>', 'only this port')
    .option('--address <text>', 'only addresses that begin so')
    .addOption(hidden('--workload-namespace <name>'))
    .addOption(hidden('--policy-namespace <name>'))
    .option('--service-namespace <name>', 'only what is of this namespace')
    .addOption(outputOption().choices(['table', 'short', 'json', 'yaml']));
}

export interface Call {
  readonly options: ProxyConfigOptions;
  readonly command: Command;
}

interface DumpCall extends Call {
  readonly kinds: readonly ProxyAdmin['kind'][];
  readonly isOfEach: boolean;
}

interface Dumps {
  readonly dumps: readonly ProxyDump[];
  readonly pod?: FoundProxies['pod'];
}

export async function readDumps(target: string | undefined, call: DumpCall): Promise<Dumps> {
  const { options, command, kinds, isOfEach } = call;
  if (options.filename !== undefined) return { dumps: [dumpOfFile(options.filename)] };
  const { node, namespace } = options;
  const found = await findProxies(meshOf(command), {
    name: target,
    node,
    namespace,
    kinds,
    isOfEach,
  });
  const dumps: ProxyDump[] = [];
  const failures: UserError[] = [];
  for (const { kind, name, client } of found.proxies) {
    try {
      dumps.push({ kind, name, json: await client.get('/config_dump') });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      failures.push(error);
    }
  }
  const [failed] = failures;
  if (failed !== undefined && dumps.length === 0) throw failed;
  // The others' answers are worth having.
  for (const { message, why } of failures) note(`${message}: ${why ?? ''}`);
  if (failed !== undefined) process.exitCode = EXIT.finding;
  return { dumps, pod: found.pod };
}

function dumpOfFile(path: string): ProxyDump {
  for (const { text } of readYamlFiles([path])) {
    const json = parsed(text);
    const kind = kindOfDump(json);
    if (kind !== undefined) return { kind, name: nameOfDump(json) || path, json };
  }
  throw new UserError(`"${path}" is no config_dump of an agent or waypoint`, {
    fix: 'save one with meshctl pc all NODE -o json',
    exitCode: EXIT.finding,
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isWanted(row: Row, options: ProxyConfigOptions, pod: FoundProxies['pod']): boolean {
  const { fqdn, port, address } = options;
  const namespace =
    options.serviceNamespace ?? options.workloadNamespace ?? options.policyNamespace;
  if (namespace !== undefined && row.namespace !== undefined && row.namespace !== namespace)
    return false;
  if (fqdn !== undefined && row.fqdn !== undefined && !row.fqdn.includes(fqdn)) return false;
  if (port !== undefined && row.ports !== undefined && !row.ports.includes(Number(port)))
    return false;
  if (address !== undefined && row.addresses !== undefined) {
    if (!row.addresses.some((one) => one.startsWith(address))) return false;
  }
  // Only rows about one pod say which; the rest is of the whole node.
  const workload = (row.data as { readonly workload?: unknown }).workload;
  return pod === undefined || typeof workload !== 'string' || workload === pod.name;
}

export function formatOf({ output }: ProxyConfigOptions): OutputFormat {
  return output === 'short' ? 'table' : output;
}
