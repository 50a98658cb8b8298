/**
 * Namespaces: open, make, enter.
 *
 * Rule: `runInNetns` is synchronous from entering to leaving, and a thread that cannot get back ends the
 * process, because whatever that thread did next would happen in somebody else's network.
 */
import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { errnoOf, NetnsError } from './errors.ts';
import { CLONE_NEWNET, check, lastErrno, libc, NS_GET_NSTYPE } from './syscalls.ts';
import type { Netns } from './types.ts';

/** Of this thread; `/proc/self` would be the main thread's. */
const OWN_PATH = '/proc/thread-self/ns/net';
/** EX_SOFTWARE of sysexits.h. */
const EXIT_STRANDED = 70;
const STDERR = 2;

class OpenNetns implements Netns {
  readonly fd: number;
  readonly id: string;
  #isClosed = false;

  constructor(fd: number, id: string) {
    this.fd = fd;
    this.id = id;
  }

  [Symbol.dispose](): void {
    if (!this.#isClosed) {
      this.#isClosed = true;
      closeSync(this.fd);
    }
  }
}

/** Where this thread lives: opened at the first entry, kept, closed with the thread. */
let home: Netns | undefined;
/** The namespace of the innermost `runInNetns` that is under way. */
let inside: Netns | undefined;

/**
 * Opens the namespace that a path (`/run/netns/x`, `/proc/PID/ns/net`, `/proc/PID/fd/N`) names.
 * Throws `NETNS_OPEN_FAILED` when there is none, or when it is another kind of file.
 */
export function openNetns(path: string): Netns {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw new NetnsError('NETNS_OPEN_FAILED', `cannot open network namespace "${path}"`, {
      errno: errnoOf(error),
      cause: error,
    });
  }
  if (libc().ioctl(fd, NS_GET_NSTYPE, 0) !== CLONE_NEWNET) {
    closeSync(fd);
    throw new NetnsError('NETNS_OPEN_FAILED', `"${path}" is not a network namespace`);
  }
  return wrap(fd);
}

/** The namespace that the calling thread is in now. */
export function currentNetns(): Netns {
  return openNetns(OWN_PATH);
}

/**
 * A new namespace in which nothing is up, not even `lo`. Only the descriptor keeps it alive, so a crash leaves
 * nothing behind. Others reach it as `/proc/<this process>/fd/<fd>`.
 */
export function createNetns(): Netns {
  const back = inside ?? ownNetns();
  check(libc().unshare(CLONE_NEWNET), 'NETNS_CREATE_FAILED', 'cannot make a network namespace');
  try {
    return openNetns(OWN_PATH);
  } finally {
    goBack(back);
  }
}

/**
 * Runs `fn` with this thread inside `ns`. Calls may nest. `fn` must not return a promise: it would go on
 * outside, so it is refused (`NETNS_ASYNC_BODY`) after the return. The namespace that the thread is in already is
 * not entered, which needs no privilege.
 */
export function runInNetns<T>(ns: Netns, fn: () => T): T {
  const back = inside ?? ownNetns();
  if (ns.id === back.id) {
    return requireSync(fn());
  }
  check(
    libc().setns(ns.fd, CLONE_NEWNET),
    'NETNS_ENTER_FAILED',
    `cannot enter network namespace ${ns.id}`,
  );
  const outer = inside;
  inside = ns;
  let result: T;
  try {
    result = fn();
  } finally {
    goBack(back);
    inside = outer;
  }
  return requireSync(result);
}

function requireSync<T>(result: T): T {
  if (isThenable(result)) {
    throw new NetnsError(
      'NETNS_ASYNC_BODY',
      'the body of runInNetns returned a promise; its rest runs outside the namespace',
    );
  }
  return result;
}

/**
 * Ends the process at once, from any thread, without waiting for others and without exit handlers. `process.exit` joins
 * worker threads first, and one that hangs in its clean-up would keep the process for ever.
 */
export function exitNow(status: number): never {
  libc().exitNow(status);
  throw new Error('_exit returned');
}

function wrap(fd: number): Netns {
  const stat = fstatSync(fd, { bigint: true });
  return new OpenNetns(fd, `${stat.dev}:${stat.ino}`);
}

function ownNetns(): Netns {
  home ??= currentNetns();
  return home;
}

function goBack(target: Netns): void {
  if (libc().setns(target.fd, CLONE_NEWNET) === 0) {
    return;
  }
  const errno = lastErrno();
  try {
    writeSync(
      STDERR,
      `fatal: cannot leave a pod's network namespace: ${errno}; ending the process\n`,
    );
  } finally {
    libc().exitNow(EXIT_STRANDED);
  }
}

function isThenable(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    'then' in value &&
    typeof value.then === 'function'
  );
}
