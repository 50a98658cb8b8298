/**
 * A unix socket that a new agent takes over from a running one.
 *
 * Rule: an agent listens under a name of its own for as long as it lives, and the path is a second link to the socket of
 * the agent whose turn it is, put into place by rename. So the path leads to somebody at any time, taking it over takes
 * nothing from who had it, and an agent that ends removes only what is its own (Node removes the name that it bound).
 */
import { randomBytes } from 'node:crypto';
import { linkSync, renameSync, rmSync, type Stats, statSync } from 'node:fs';
import type { AdminServer } from '@ambit/telemetry';
import { isServed, ownSockets, servedAmong } from './served-sockets.ts';

export class SharedSocket implements Disposable {
  readonly path: string;
  /** Where this agent listens. */
  readonly own: string;
  #inode: string | undefined;
  #wasClaimed = false;

  constructor(path: string) {
    this.path = path;
    this.own = `${path}.${randomBytes(4).toString('hex')}`;
  }

  /** Under the own name; the path stays whoever's it is. Removes names that crashed agents left. */
  async listen(server: AdminServer): Promise<void> {
    await server.listen({ socketPath: this.own });
    this.#inode = inodeOf(this.own);
    const others = ownSockets(this.path).filter((path) => path !== this.own);
    const served = await servedAmong(others);
    for (const path of others.filter((other) => !served.includes(other))) {
      rmSync(path, { force: true });
    }
  }

  /** From here on the path leads here. Call it after `listen`; may be repeated. */
  claim(): void {
    this.#wasClaimed = true;
    if (this.isOurs) {
      return;
    }
    const link = `${this.own}.new`;
    linkSync(this.own, link);
    renameSync(link, this.path);
  }

  get isOurs(): boolean {
    return this.#inode !== undefined && inodeOf(this.path) === this.#inode;
  }

  /** Another agent has claimed the path since this one did. */
  get isSuperseded(): boolean {
    return this.#wasClaimed && !this.isOurs && inodeOf(this.path) !== undefined;
  }

  /** Whether the path leads to another agent that lives. */
  async isServedByAnother(): Promise<boolean> {
    return !this.isOurs && (await isServed(this.path));
  }

  /** The path goes if it is still ours; the own name goes with the server. Idempotent. */
  [Symbol.dispose](): void {
    if (this.isOurs) {
      rmSync(this.path, { force: true });
    }
  }
}

function inodeOf(path: string): string | undefined {
  const found: Stats | undefined = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? undefined : `${found.dev}:${found.ino}`;
}
