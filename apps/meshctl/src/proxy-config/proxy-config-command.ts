/** `meshctl proxy-config NOUN [POD|NODE]`: what one agent or waypoint holds, from its own memory. */

import { systemClock } from '@ambit/core';
import { type Command, Option } from 'commander';
import { outputOption } from '../commands/shared-options.ts';
import { EXIT, UserError } from '../errors.ts';
import { note, type OutputFormat, print, printAs, table } from '../output.ts';
import { meshOf, type ProxyAdmin } from '../target/mesh-target.ts';
import { addTargetOptions } from '../target/target-options.ts';
import { readYamlFiles } from '../yaml-files.ts';
import { kindOfDump, nameOfDump, type ProxyDump, type Row } from './dump.ts';
import { type FoundProxies, findProxies } from './find-proxies.ts';
import { FOREIGN_NOUNS, NOUNS, type Noun, type View } from './nouns.ts';

interface ProxyConfigOptions {
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

const EXAMPLES = `
Examples:
  meshctl proxy-config workloads                     # any agent: all have the same
  meshctl pc services node1 --service-namespace shop
  meshctl pc routes deploy/waypoint -n shop
  meshctl pc secrets reviews-v1-6c9.shop -o json     # the agent that serves this pod
  meshctl pc all node1 -o json > dump.json && meshctl pc endpoints -f dump.json

POD is an agent's, a waypoint's or an application's (POD.NAMESPACE, NAMESPACE/POD); NODE means the agent there; a
waypoint also by the name of its Gateway. Exit code 1: there is nobody of that name. 69: it does not answer.`;

export function registerProxyConfig(program: Command): void {
  const command = program
    .command('proxy-config')
    .alias('pc')
    .alias('zc')
    .alias('ztunnel-config')
    .summary('show what an agent or waypoint holds')
    .description('Shows what an agent or waypoint holds: workloads, services, policies, routes …')
    .addHelpText('after', EXAMPLES);
  for (const noun of NOUNS) {
    const sub = command.command(`${noun.name} [target]`).aliases([...noun.aliases]);
    addReadOptions(sub)
      .description(`Shows ${noun.summary}.`)
      .summary(noun.summary)
      .addHelpText('after', `\nExample:\n  meshctl pc ${noun.name} node1 -o json`)
      .action(async (target: string | undefined, options: ProxyConfigOptions, self: Command) => {
        await showNoun(noun, target, { options, command: self });
      });
  }
  registerAll(command);
  registerBootstrap(command);
  registerForeign(command);
}

function addReadOptions(command: Command): Command {
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

interface Call {
  readonly options: ProxyConfigOptions;
  readonly command: Command;
}

async function showNoun(noun: Noun, target: string | undefined, call: Call): Promise<void> {
  const kinds = [
    ...(noun.agent === undefined ? [] : (['node-agent'] as const)),
    ...(noun.waypoint === undefined ? [] : (['waypoint'] as const)),
  ];
  const { dumps, pod } = await readDumps(target, {
    ...call,
    kinds,
    isOfEach: noun.isOfEach === true,
  });
  const nowMs = systemClock.wallNow();
  const shown = dumps.map((dump) => {
    const rows = viewOf(noun, dump).rows(dump, nowMs);
    return { dump, rows: rows.filter((row) => isWanted(row, call.options, pod)) };
  });
  const items = shown.flatMap(({ dump, rows }) =>
    rows.map(({ data }) => ({ proxy: dump.name, ...(data as object) })),
  );
  printAs(formatOf(call.options), { items }, () => {
    const [first] = dumps;
    if (first === undefined) return '';
    const { columns } = viewOf(noun, first);
    const isMany = dumps.length > 1;
    const lines = shown.flatMap(({ dump, rows }) =>
      rows.map(({ cells }) => (isMany ? [dump.name, ...cells] : cells)),
    );
    return table(isMany ? ['PROXY', ...columns] : columns, lines);
  });
}

function formatOf({ output }: ProxyConfigOptions): OutputFormat {
  return output === 'short' ? 'table' : output;
}

function viewOf(noun: Noun, { kind, name }: ProxyDump): View {
  const view = kind === 'waypoint' ? noun.waypoint : noun.agent;
  if (view !== undefined) return view;
  throw new UserError(
    `${kind === 'waypoint' ? 'waypoint' : 'the agent of'} ${name} has no ${noun.name}`,
    {
      ...(noun.instead === undefined ? {} : { fix: noun.instead }),
    },
  );
}

interface DumpCall extends Call {
  readonly kinds: readonly ProxyAdmin['kind'][];
  readonly isOfEach: boolean;
}

interface Dumps {
  readonly dumps: readonly ProxyDump[];
  readonly pod?: FoundProxies['pod'];
}

async function readDumps(target: string | undefined, call: DumpCall): Promise<Dumps> {
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

function isWanted(row: Row, options: ProxyConfigOptions, pod: FoundProxies['pod']): boolean {
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

function registerAll(command: Command): void {
  addReadOptions(command.command('all [target]'))
    .summary('everything; with -o json the dump itself')
    .description('Shows everything that an agent or waypoint holds.')
    .addHelpText('after', '\nExample:\n  meshctl pc all node1 -o json > dump.json')
    .action(async (target: string | undefined, options: ProxyConfigOptions, self: Command) => {
      const kinds = ['node-agent', 'waypoint'] as const;
      const { dumps } = await readDumps(target, { options, command: self, kinds, isOfEach: false });
      const nowMs = systemClock.wallNow();
      for (const dump of dumps) {
        printAs(formatOf(options), dump.json, () =>
          NOUNS.flatMap((noun) => {
            const view = dump.kind === 'waypoint' ? noun.waypoint : noun.agent;
            if (view === undefined) return [];
            const rows = view.rows(dump, nowMs).filter((row) => isWanted(row, options, undefined));
            return [
              `${noun.name.toUpperCase()}\n${table(
                view.columns,
                rows.map(({ cells }) => cells),
              )}`,
            ];
          }).join('\n\n'),
        );
      }
    });
}

/** The nearest to Envoy's bootstrap: settings, and the stream to the controller. */
function registerBootstrap(command: Command): void {
  addReadOptions(command.command('bootstrap [target]').alias('b'))
    .summary('settings of a proxy, and its stream to the controller')
    .description('Shows the settings of an agent or waypoint and its stream to the controller.')
    .addHelpText('after', '\nExample:\n  meshctl pc bootstrap node1')
    .action(async (target: string | undefined, options: ProxyConfigOptions, self: Command) => {
      const kinds = ['node-agent', 'waypoint'] as const;
      const { node, namespace } = options;
      const query = { name: target, node, namespace, kinds, isOfEach: false };
      const { proxies } = await findProxies(meshOf(self), query);
      for (const { name, client } of proxies) {
        const dump = await client.get('/config_dump');
        const { config, version } = dump as {
          readonly config?: unknown;
          readonly version?: unknown;
        };
        const shown = { proxy: name, version, config, controller: await client.get('/xds') };
        printAs(options.output === 'json' ? 'json' : 'yaml', shown, () => '');
      }
    });
}

function registerForeign(command: Command): void {
  for (const { name, instead } of FOREIGN_NOUNS) {
    command
      .command(`${name} [target]`, { hidden: true })
      .allowUnknownOption()
      .addHelpText('after', `\nExample:\n  meshctl pc ${name} node1      # ${instead}`)
      .action(() => {
        note(`proxy-config ${name}: ${instead}`);
        process.exitCode = EXIT.finding;
      });
  }
  command
    .command('log [target]')
    .summary('log levels of an agent or waypoint')
    .description('Shows log levels, or sets them until the program ends.')
    .addOption(new Option('--level <levels>', 'debug, or access:debug,xds:info'))
    .option('-r, --reset', 'back to the levels at its start', false)
    .option('-n, --namespace <name>', 'namespace of the pod')
    .option('--node <name>', 'the agent of this node')
    .addHelpText('after', '\nExample:\n  meshctl pc log node1 --level access:debug')
    .action(
      async (
        target: string | undefined,
        options: ProxyConfigOptions & { readonly level?: string; readonly reset: boolean },
        self: Command,
      ) => {
        const kinds = ['node-agent', 'waypoint'] as const;
        const { node, namespace, level, reset } = options;
        const query = { name: target, node, namespace, kinds, isOfEach: true };
        const { proxies } = await findProxies(meshOf(self), query);
        const asked = reset
          ? '?reset'
          : level === undefined
            ? ''
            : `?level=${encodeURIComponent(level)}`;
        for (const { name, client } of proxies) {
          print(`${name}: ${(await client.post(`/logging${asked}`)).trim()}`);
        }
      },
    );
  const log = command.commands.find((one) => one.name() === 'log');
  if (log !== undefined) addTargetOptions(log);
}
