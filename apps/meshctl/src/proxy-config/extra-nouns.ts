/** Of `meshctl proxy-config`: everything at once, settings, log levels, and what only Envoy has. */
import { systemClock } from '@ambit/core';
import { type Command, Option } from 'commander';
import { EXIT } from '../errors.ts';
import { note, print, printAs, table } from '../output.ts';
import { meshOf } from '../target/mesh-target.ts';
import { addTargetOptions } from '../target/target-options.ts';
import { findProxies } from './find-proxies.ts';
import { FOREIGN_NOUNS, NOUNS } from './nouns.ts';
import {
  addReadOptions,
  formatOf,
  isWanted,
  type ProxyConfigOptions,
  readDumps,
} from './read-dumps.ts';

export function registerAll(command: Command): void {
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
export function registerBootstrap(command: Command): void {
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

export function registerForeign(command: Command): void {
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
