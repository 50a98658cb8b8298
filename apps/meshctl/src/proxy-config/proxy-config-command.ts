/** `meshctl proxy-config NOUN [POD|NODE]`: what one agent or waypoint holds, from its own memory. */

import { systemClock } from '@ambit/core';
import type { Command } from 'commander';
import { UserError } from '../errors.ts';
import { printAs, table } from '../output.ts';
import type { ProxyDump } from './dump.ts';
import { registerAll, registerBootstrap, registerForeign } from './extra-nouns.ts';
import { NOUNS, type Noun, type View } from './nouns.ts';
import {
  addReadOptions,
  type Call,
  formatOf,
  isWanted,
  type ProxyConfigOptions,
  readDumps,
} from './read-dumps.ts';

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
