/** `meshctl status`: is the mesh as it should be? Everything that is not makes exit code 1. */
import type { AdminCertificate, AdminObject, AdminProxies, AdminProxy } from '@ambit/model';
import type { Command } from 'commander';
import { conditionOf, getCertificates, getObjects, getProxies } from '../admin-answers.ts';
import { EXIT } from '../errors.ts';
import { formatSpan, type OutputFormat, printAs, table } from '../output.ts';
import { controllerOf } from '../target/mesh-target.ts';
import { addTargetOptions } from '../target/target-options.ts';
import { outputOption } from './shared-options.ts';

const EXAMPLES = `
Examples:
  meshctl status
  meshctl status -o json

Exit code 0: everything is in force everywhere. 1: something is not. 69: the controller does not answer.`;

/** Problems listed of each kind; more are counted. */
const PROBLEMS_SHOWN_MAX = 20;

export function registerStatus(program: Command): void {
  addTargetOptions(program.command('status'))
    .summary('show controller, agents, waypoints, certificates and what is wrong')
    .description(
      'Shows whether configuration is in force everywhere, and what is not as it should be.',
    )
    .addOption(outputOption())
    .addHelpText('after', EXAMPLES)
    .action(meshStatus);
}

interface MeshStatus extends AdminProxies {
  readonly certificates: {
    readonly count: number;
    readonly expired: number;
    readonly next?: AdminCertificate;
  };
  readonly problems: readonly string[];
}

async function meshStatus(
  { output }: { readonly output: OutputFormat },
  command: Command,
): Promise<void> {
  const client = await controllerOf(command);
  const { controller, proxies } = await getProxies(client);
  const certificates = await getCertificates(client);
  const objects = await getObjects(client);
  const { nowMs } = controller;
  const expired = certificates.filter(({ notAfterMs }) => notAfterMs <= nowMs);
  const [next] = certificates
    .filter(({ notAfterMs }) => notAfterMs > nowMs)
    .sort((a, b) => a.notAfterMs - b.notAfterMs);
  const status: MeshStatus = {
    controller,
    proxies,
    certificates: {
      count: certificates.length,
      expired: expired.length,
      ...(next === undefined ? {} : { next }),
    },
    problems: [
      ...(controller.problems ?? []).map((problem) => `controller: ${problem}`),
      ...proxies.flatMap((proxy) => proxyProblems(proxy, nowMs)),
      ...expired.map(({ identity, proxy }) => `certificate of ${identity} at ${proxy} has expired`),
      ...objects.flatMap(objectProblems),
    ],
  };
  printAs(output, status, () => describe(status));
  if (status.problems.length > 0) process.exitCode = EXIT.finding;
}

function describe({ controller, proxies, certificates, problems }: MeshStatus): string {
  const { nowMs, version, startedAtMs, changedAtMs, trustDomain, objects, refused, root } =
    controller;
  const head = [
    `controller    ${version}, up ${formatSpan(nowMs - startedAtMs)}, trust domain ${trustDomain}`,
    `configuration ${objects} objects${refused === 0 ? '' : `, ${refused} refused`}, changed ${formatSpan(nowMs - changedAtMs)} ago`,
    `certificates  ${describeCertificates(certificates, nowMs)}; root valid for ${formatSpan(root.notAfterMs - nowMs)}`,
  ].join('\n');
  const rows = [...proxies].sort(byName).map((proxy) => proxyRow(proxy, nowMs));
  const proxyTable =
    rows.length === 0
      ? 'no agent and no waypoint is known'
      : table(['PROXY', 'KIND', 'STATE', 'FOR', 'BEHIND', 'PODS'], rows);
  const shown = problems.slice(0, PROBLEMS_SHOWN_MAX);
  const more = problems.length - shown.length;
  const problemText =
    problems.length === 0
      ? 'everything is in force'
      : ['PROBLEMS', ...shown, ...(more > 0 ? [`and ${more} more (-o json has all)`] : [])].join(
          '\n',
        );
  return [head, proxyTable, problemText].join('\n\n');
}

function describeCertificates(
  { count, expired, next }: MeshStatus['certificates'],
  nowMs: number,
): string {
  const outdated = expired === 0 ? '' : `, ${expired} expired`;
  const soonest =
    next === undefined ? '' : `, next expiry in ${formatSpan(next.notAfterMs - nowMs)}`;
  return `${count}${outdated}${soonest}`;
}

export function proxyRow(proxy: AdminProxy, nowMs: number): readonly string[] {
  const since = proxy.connectedSinceMs ?? proxy.disconnectedSinceMs;
  return [
    proxy.name,
    proxy.kind,
    proxy.connectedSinceMs === undefined ? 'unreachable' : 'connected',
    since === undefined ? '-' : formatSpan(nowMs - since),
    behindOf(proxy, nowMs) ?? '-',
    proxy.kind === 'node-agent' ? String(proxy.captured.length) : '-',
  ];
}

/** What is not acknowledged: type and how long. */
function behindOf({ subscriptions }: AdminProxy, nowMs: number): string | undefined {
  const behind = subscriptions.filter(({ pending, error }) => pending > 0 || error !== undefined);
  if (behind.length === 0) return undefined;
  return behind
    .map(({ type, pendingSinceMs, error }) =>
      error === undefined
        ? `${type} ${formatSpan(nowMs - (pendingSinceMs ?? nowMs))}`
        : `${type} refused`,
    )
    .join(', ');
}

function proxyProblems(proxy: AdminProxy, nowMs: number): readonly string[] {
  const name = `${proxy.kind} ${proxy.name}`;
  if (proxy.connectedSinceMs === undefined) {
    const since = proxy.disconnectedSinceMs;
    const ago = since === undefined ? '' : ` for ${formatSpan(nowMs - since)}`;
    return [`${name} is not connected${ago}`];
  }
  return proxy.subscriptions.flatMap(({ type, error, pending, pendingSinceMs }) => {
    if (error !== undefined) return [`${name} refuses ${type}: ${error}`];
    const age = nowMs - (pendingSinceMs ?? nowMs);
    return pending > 0 && age >= LAGGARD_MS
      ? [`${name} has not acknowledged ${type} for ${formatSpan(age)}`]
      : [];
  });
}

/** A push is under way for a moment after every change; longer than this is a finding. */
const LAGGARD_MS = 5_000;

function objectProblems(object: AdminObject): readonly string[] {
  const accepted = conditionOf(object, 'Accepted');
  if (accepted?.status === 'False') {
    return [`${object.key} is not accepted: ${accepted.reason}: ${accepted.message}`];
  }
  const enforced = conditionOf(object, 'Enforced');
  return enforced === undefined || enforced.status === 'True'
    ? []
    : [`${object.key} is not enforced: ${enforced.reason}: ${enforced.message}`];
}

function byName(a: AdminProxy, b: AdminProxy): number {
  const left = `${a.kind} ${a.name}`;
  const right = `${b.kind} ${b.name}`;
  return left < right ? -1 : left > right ? 1 : 0;
}
