/**
 * What capture changes in a pod's namespace: rules, the return route of borrowed sources, one sysctl.
 *
 * Every operation may be repeated, and may find the work of another version of the agent there.
 */
import { readFileSync } from 'node:fs';
import {
  applyNft,
  type Netns,
  NetnsError,
  readSysctl,
  runInNetns,
  runIp,
  runNft,
  writeSysctl,
} from '@ambit/netns';
import {
  CONNECTION_MARK,
  HBONE_PORT,
  INBOUND_PORT,
  MARK_MASK,
  OUTBOUND_PORT,
  ROUTE_TABLE,
  RULE_PRIORITY,
  SHARED_ROUTE_TABLE,
  SHARED_RULE_PRIORITY,
} from './constants.ts';
import {
  CAPTURE_TABLES,
  type CaptureOptions,
  captureRules,
  releaseRules,
  removeRules,
} from './rules.ts';

/** Moves queued connections of a closing listener to another one of the same port: needed at a hand-over. */
const MIGRATE_SYSCTL = 'net.ipv4.tcp_migrate_req';
const SYSCTL_REFUSALS: ReadonlySet<string> = new Set(['ENOENT', 'EROFS', 'EACCES', 'EPERM']);
const MARK = `0x${CONNECTION_MARK.toString(16)}/0x${MARK_MASK.toString(16)}`;
const OWN_WAY = wayOf(RULE_PRIORITY, ROUTE_TABLE);
const SHARED_WAY = wayOf(SHARED_RULE_PRIORITY, SHARED_ROUTE_TABLE);
/** TCP_ESTABLISHED, SYN_RECV, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING of tcp_states.h. */
const OPEN_STATES: ReadonlySet<string> = new Set(['01', '03', '04', '05', '08', '09', '0B']);
const CAPTURED_PORTS: ReadonlySet<number> = new Set([OUTBOUND_PORT, INBOUND_PORT, HBONE_PORT]);

/** Whether sockets of IPv6 can be used there (`lo` carries it). */
export function hasIpv6(ns: Netns): boolean {
  try {
    return readSysctl(ns, 'net.ipv6.conf.lo.disable_ipv6') === '0';
  } catch (error) {
    if (error instanceof NetnsError && error.errno === 'ENOENT') {
      return false;
    }
    throw error;
  }
}

/** From here on new connections of the pod go to the agent. */
export async function applyCapture(ns: Netns, options: CaptureOptions): Promise<void> {
  setMigration(ns, true);
  // The way back first: the rules alone would lose replies.
  for (const family of families(ns)) {
    await runIp(ns, [family, 'route', 'replace', ...OWN_WAY.route]);
    await unlessSaid(/File exists/, runIp(ns, [family, 'rule', 'add', ...OWN_WAY.rule]));
  }
  if (await isOlderWayOurs(ns)) await removeWay(ns, SHARED_WAY);
  await applyNft(ns, captureRules(options));
}

/** New connections go their own way; those that the agent carries stay as they are. */
export async function releaseCapture(ns: Netns): Promise<void> {
  await applyNft(ns, releaseRules());
}

/**
 * Nothing of the capture is left. Connections that the agent still carries break.
 *
 * Where no table of ours is, nothing is touched. The tables go last, so that a removal that was cut short is done again.
 */
export async function removeCapture(ns: Netns): Promise<void> {
  if (!(await hasCapture(ns))) return;
  await removeWay(ns, OWN_WAY);
  if (await isOlderWayOurs(ns)) await removeWay(ns, SHARED_WAY);
  await applyNft(ns, removeRules());
  setMigration(ns, false);
}

/**
 * Whether a way back with Istio's numbers is one that an older agent of ours made: our tables are there, and nothing of Istio's
 * is. Where Istio's rules are, the way is left, be it whose it may: without it the pod's replies to Istio's agent are lost.
 */
async function isOlderWayOurs(ns: Netns): Promise<boolean> {
  const ruleset = await runNft(ns, ['list', 'ruleset']);
  const isOurs = CAPTURE_TABLES.some((name) => ruleset.includes(`table inet ${name} {`));
  // Its chains are ISTIO_OUTPUT and istio-output; what it wrote by the older iptables, nft does not show.
  return isOurs && !/istio[-_]/i.test(ruleset) && !hasOldTables(ns);
}

/** Also where nobody can tell. */
function hasOldTables(ns: Netns): boolean {
  return runInNetns(ns, () =>
    ['ip_tables_names', 'ip6_tables_names'].some((file) => {
      try {
        return readTable(file) !== '';
      } catch {
        return true;
      }
    }),
  );
}

async function removeWay(ns: Netns, { rule, route }: Way): Promise<void> {
  for (const family of families(ns)) {
    await unlessSaid(/No such file/, runIp(ns, [family, 'rule', 'del', ...rule]));
    await unlessSaid(
      /No such (process|file)|does not exist/,
      runIp(ns, [family, 'route', 'del', ...route]),
    );
  }
}

/**
 * Undefined when queued connections move to another agent's listeners at a hand-over, else why they cannot: an old
 * kernel, or a container whose `/proc/sys` is read-only. They are then reset, which is no reason to capture nothing.
 */
export function migrationProblem(ns: Netns): Error | undefined {
  try {
    writeSysctl(ns, MIGRATE_SYSCTL, readSysctl(ns, MIGRATE_SYSCTL));
    return undefined;
  } catch (error) {
    if (error instanceof NetnsError && SYSCTL_REFUSALS.has(error.errno ?? '')) {
      return error;
    }
    throw error;
  }
}

function setMigration(ns: Netns, isOn: boolean): void {
  if (migrationProblem(ns) === undefined) {
    writeSysctl(ns, MIGRATE_SYSCTL, isOn ? '1' : '0');
  }
}

/** True if any of our tables is there, of this agent or one before it. */
export async function hasCapture(ns: Netns): Promise<boolean> {
  const tables = await runNft(ns, ['list', 'tables', 'inet']);
  return CAPTURE_TABLES.some((name) => tables.includes(`table inet ${name}\n`));
}

/** How many connections of the pod an agent carries now, be it this process or another. */
export function carriedConnections(ns: Netns): number {
  return runInNetns(ns, () => {
    let count = 0;
    for (const file of ['tcp', 'tcp6']) {
      count += openSockets(readTable(file));
    }
    return count;
  });
}

/** Of replies to sources that the agent borrows, as arguments of `ip`. */
interface Way {
  readonly rule: readonly string[];
  readonly route: readonly string[];
}

function wayOf(priority: number, table: number): Way {
  return {
    rule: ['fwmark', MARK, 'pref', `${priority}`, 'lookup', `${table}`],
    route: ['local', 'default', 'dev', 'lo', 'table', `${table}`],
  };
}

function families(ns: Netns): readonly string[] {
  return hasIpv6(ns) ? ['-4', '-6'] : ['-4'];
}

function readTable(file: string): string {
  try {
    // The thread's own view: the process may be in another namespace.
    return readFileSync(`/proc/thread-self/net/${file}`, 'latin1');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      return '';
    }
    throw error;
  }
}

/** Lines of proc_net_tcp(5): `sl local_address rem_address st …`, addresses as HEX:PORT. */
function openSockets(table: string): number {
  return table.split('\n').filter((line) => {
    const [, local = '', , state = ''] = line.trim().split(/\s+/);
    const port = Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16);
    return CAPTURED_PORTS.has(port) && OPEN_STATES.has(state);
  }).length;
}

/** `ip` has no "if not there": its refusal for exactly that reason is success. */
async function unlessSaid(expected: RegExp, operation: Promise<string>): Promise<void> {
  try {
    await operation;
  } catch (error) {
    if (!(error instanceof NetnsError && expected.test(error.message))) {
      throw error;
    }
  }
}
