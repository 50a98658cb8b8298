/** `meshctl ca status|rotate`: the roots of the mesh, and a new one in three steps, each after all proxies followed. */
import { type Clock, systemClock } from '@ambit/core';
import type { AdminCa } from '@ambit/model';
import type { Command } from 'commander';
import type { AdminClient } from '../admin-client.ts';
import { EXIT, UserError } from '../errors.ts';
import { timeoutOption } from '../install/options.ts';
import { formatSpan, note, type OutputFormat, print, printAs, table } from '../output.ts';
import { controllerOf } from '../target/mesh-target.ts';
import { addTargetOptions } from '../target/target-options.ts';
import { outputOption } from './shared-options.ts';

const POLL_MS = 5_000;
/** Agents learn of a new root when kubelet has renewed their file, and then ask within half a minute. */
const TIMEOUT_MS = 10 * 60_000;
const NAMED_MAX = 5;

const DONE = {
  distribute: 'The next root is trusted beside the old one',
  sign: 'The next root signs; the old one is still trusted',
  finish: 'The old root is trusted no longer',
} as const;

const STATUS_EXAMPLES = `
Examples:
  meshctl ca status
  meshctl ca status -o json`;

const EXAMPLES = `
Examples:
  meshctl ca status
  meshctl ca rotate              # all that is left of the three steps, waiting for proxies between them
  meshctl ca rotate --step       # one step
  meshctl ca rotate --abort      # as long as the next root has signed nothing

Each step waits until every proxy has what the one before brought, so that no connection is refused in between.`;

interface RotateOptions {
  readonly step: boolean;
  readonly abort: boolean;
  readonly force: boolean;
  readonly timeout: number;
}

export function registerCa(program: Command): void {
  const ca = program
    .command('ca')
    .summary("show the mesh's roots, and rotate them")
    .description("Shows the mesh's roots, and brings a new one without an outage.")
    .addHelpText('after', EXAMPLES);
  addTargetOptions(ca.command('status'))
    .description('Shows the roots, and how far a rotation is.')
    .addOption(outputOption())
    .addHelpText('after', STATUS_EXAMPLES)
    .action(async ({ output }: { readonly output: OutputFormat }, command: Command) => {
      const found = await caOf(await controllerOf(command));
      printAs(output, found, () => describe(found, systemClock.wallNow()));
    });
  addTargetOptions(ca.command('rotate'))
    .description('Brings a new root, or goes on with a rotation that was begun.')
    .option('--step', 'one step only', false)
    .option('--abort', 'give up, as long as the next root has signed nothing', false)
    .option('--force', 'do not wait for proxies: those behind are cut off until they follow', false)
    .addOption(timeoutOption('--timeout <time>', 'for proxies to follow each step', TIMEOUT_MS))
    .addHelpText('after', EXAMPLES)
    .action(async (options: RotateOptions, command: Command) => {
      await rotate(await controllerOf(command), options, systemClock);
    });
}

async function rotate(client: AdminClient, options: RotateOptions, clock: Clock): Promise<void> {
  const first = await caOf(client);
  if (first.fixedBecause !== undefined) {
    throw new UserError('this mesh does not rotate its root itself', { why: first.fixedBecause });
  }
  if (options.abort) {
    await post(client, '/v1/ca/rotate/abort');
    print('✔ The old root is the only one again');
    return;
  }
  let at: AdminCa | undefined = first;
  do {
    at = await step(client, at, { ...options, clock });
  } while (at !== undefined && at.step !== 'none' && !options.step);
}

/** One step, once proxies have followed the one before; what is so then. */
async function step(
  client: AdminClient,
  before: AdminCa,
  { force, timeout, clock }: RotateOptions & { readonly clock: Clock },
): Promise<AdminCa> {
  const deadline = clock.now() + timeout;
  let said = '';
  for (let found = before; !force && found.waiting.length > 0; found = await caOf(client)) {
    const waiting = waitingText(found);
    if (waiting !== said) note(`  waiting for ${waiting}`);
    said = waiting;
    if (clock.now() > deadline) throw tooLate(waiting, formatSpan(timeout));
    await clock.sleep(POLL_MS);
  }
  const query = `from=${before.step}${force ? '&force=true' : ''}`;
  const after = await post(client, `/v1/ca/rotate/next?${query}`);
  print(`✔ ${DONE[before.next ?? 'distribute']}`);
  return after;
}

function tooLate(waiting: string, timeout: string): UserError {
  return new UserError(`not all proxies followed within ${timeout}`, {
    why: waiting,
    fix: 'look at those proxies and go on with `meshctl ca rotate`; nothing is lost by waiting',
  });
}

function waitingText({ proxies, waiting }: AdminCa): string {
  const named = waiting.slice(0, NAMED_MAX).map(({ proxy, reason }) => `${proxy}: ${reason}`);
  const more = waiting.length > NAMED_MAX ? `; and ${waiting.length - NAMED_MAX} more` : '';
  return `${waiting.length} of ${proxies} proxies (${named.join('; ')}${more})`;
}

async function caOf(client: AdminClient): Promise<AdminCa> {
  return answerOf(await client.ask('/v1/ca'));
}

async function post(client: AdminClient, path: string): Promise<AdminCa> {
  return answerOf(await client.ask(path, 'POST'));
}

function answerOf({ status, body }: { readonly status: number; readonly body: unknown }): AdminCa {
  if (status === 200 && isCa(body)) return body;
  const { error } = (body ?? {}) as { readonly error?: unknown };
  const why = typeof error === 'string' ? error : `it answered with ${status}`;
  if (status === 409) throw new UserError('the controller refuses that step', { why });
  throw new UserError('the controller says nothing of its CA', {
    why,
    exitCode: EXIT.unavailable,
  });
}

function isCa(body: unknown): body is AdminCa {
  const { step: at, roots, waiting } = (body ?? {}) as Partial<AdminCa>;
  return typeof at === 'string' && Array.isArray(roots) && Array.isArray(waiting);
}

function describe(ca: AdminCa, nowMs: number): string {
  const roots = table(
    ['ROOT', 'USE', 'EXPIRES', 'SHA-256'],
    ca.roots.map(({ name, use, notAfterMs, fingerprint }) => [
      name,
      use,
      notAfterMs <= nowMs ? 'expired' : `in ${formatSpan(notAfterMs - nowMs)}`,
      `${fingerprint.slice(0, 23)}…`,
    ]),
  );
  const since = ca.sinceMs === undefined ? '' : ` (since ${formatSpan(nowMs - ca.sinceMs)})`;
  const lines = [
    `CA of ${ca.trustDomain}, ${ca.source}`,
    '',
    roots,
    '',
    ...(ca.fixedBecause === undefined
      ? [`Rotation: ${ca.step}${since}, next step: ${ca.next ?? 'none'}`]
      : [`Not rotated here: ${ca.fixedBecause}`]),
    ...(ca.waiting.length === 0 ? [] : [`Waiting for ${waitingText(ca)}`]),
  ];
  return lines.join('\n');
}
