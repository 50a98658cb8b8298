/**
 * The sockets of the tunnel port, one per worker.
 *
 * The main thread keeps them open for as long as it serves and gives duplicates away, so that a worker's death
 * closes nothing: connections wait in the backlog for its replacement.
 */
import {
  closeFd,
  currentNetns,
  duplicate,
  listenTcp,
  localAddressOf,
  type Netns,
  NetnsError,
  writeSysctl,
} from '@ambit/netns';
import { describeError, type Logger } from '@ambit/telemetry';
import type { Endpoint } from '../config.ts';
import { WaypointError } from '../errors.ts';
import type { ListenAt } from '../proxy/messages.ts';

/** Room for a burst while a worker is replaced. The kernel refuses beyond it. */
const BACKLOG = 1024;
/** Connections that wait move to another socket of the port, also to another process's, when theirs closes. */
const MIGRATE_SYSCTL = 'net.ipv4.tcp_migrate_req';

export interface ListenersOptions {
  /** Port 0 picks one, the same for all. */
  readonly at: Endpoint;
  readonly count: number;
  readonly log: Logger;
}

export class Listeners {
  readonly port: number;
  readonly #fds: readonly number[];
  #isClosed = false;

  private constructor(fds: readonly number[], port: number) {
    this.#fds = fds;
    this.port = port;
  }

  /** All or none. They share the port (SO_REUSEPORT), also across overlapping processes. Throws WAYPOINT_LISTEN. */
  static open({ at, count, log }: ListenersOptions): Listeners {
    using ns = currentNetns();
    allowMigration(ns, log);
    const fds: number[] = [];
    let { port } = at;
    try {
      for (let index = 0; index < count; index += 1) {
        const fd = listen(ns, { host: at.host, port });
        fds.push(fd);
        port = localAddressOf(fd)?.port ?? port;
      }
    } catch (error) {
      fds.forEach(closeFd);
      throw new WaypointError('WAYPOINT_LISTEN', describeError(error), error);
    }
    return new Listeners(fds, port);
  }

  /** A duplicate for the worker of that place, which owns it from then on. Throws WAYPOINT_LISTEN. */
  forWorker(index: number): ListenAt {
    const fd = this.#fds[index];
    if (fd === undefined || this.#isClosed) {
      throw new WaypointError('WAYPOINT_LISTEN', `there is no listener for worker ${index}`);
    }
    try {
      return { fd: duplicate(fd), backlog: BACKLOG };
    } catch (error) {
      throw new WaypointError('WAYPOINT_LISTEN', describeError(error), error);
    }
  }

  /** Workers' duplicates go on. Idempotent. */
  close(): void {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#fds.forEach(closeFd);
    }
  }
}

/** Best effort: a container without privilege may not, and then loses what waits when the last socket closes. */
function allowMigration(ns: Netns, log: Logger): void {
  try {
    writeSysctl(ns, MIGRATE_SYSCTL, '1');
  } catch (error) {
    log.info('connections that wait cannot move to a successor', { error: describeError(error) });
  }
}

/** A machine without IPv6 gets IPv4. */
function listen(ns: Netns, { host, port }: Endpoint): number {
  const options = { port, backlog: BACKLOG, reusePort: true, transparent: false };
  try {
    return listenTcp(ns, { ...options, address: host });
  } catch (error) {
    if (host === '::' && error instanceof NetnsError && error.errno === 'EAFNOSUPPORT') {
      return listenTcp(ns, { ...options, address: '0.0.0.0' });
    }
    throw error;
  }
}
