/** Connections that wait for a request, by whom they may serve. */
import type { ClusterState } from './cluster-state.ts';
import type { UpstreamLink } from './message.ts';

/** What the list needs to know of one. */
export interface IdleConnection {
  readonly link: UpstreamLink;
  isIdle: boolean;
  /** Among all that are idle: unused for longer, and for less long. */
  older: this | undefined;
  newer: this | undefined;
}

export class IdleConnections<Connection extends IdleConnection> {
  /** Most recently used last. A list that became empty stays until `forget`, because it is soon needed again. */
  readonly #lists = new Map<string, Connection[]>();
  #oldest: Connection | undefined;
  #newest: Connection | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(connection: Connection): void {
    const { key } = connection.link;
    const list = this.#lists.get(key);
    if (list === undefined) {
      this.#lists.set(key, [connection]);
    } else {
      list.push(connection);
    }
    connection.isIdle = true;
    connection.older = this.#newest;
    if (this.#newest === undefined) {
      this.#oldest = connection;
    } else {
      this.#newest.newer = connection;
    }
    this.#newest = connection;
    this.#size += 1;
  }

  /** The one that was used last. */
  take(key: string): Connection | undefined {
    const connection = this.#lists.get(key)?.pop();
    if (connection !== undefined) {
      this.#unlink(connection);
    }
    return connection;
  }

  /** Does nothing where it is not in the list. */
  drop(connection: Connection): void {
    const list = this.#lists.get(connection.link.key);
    const index = connection.isIdle ? (list?.indexOf(connection) ?? -1) : -1;
    if (index !== -1) {
      list?.splice(index, 1);
      this.#unlink(connection);
    }
  }

  /** The one that was not used for longest. */
  oldest(): Connection | undefined {
    return this.#oldest;
  }

  /** One that counts for the cluster, unused for longer than others of it. */
  oneOf(cluster: ClusterState): Connection | undefined {
    let connection = this.#oldest;
    while (connection !== undefined && connection.link.cluster !== cluster) {
      connection = connection.newer;
    }
    return connection;
  }

  /** A list of its own. */
  all(): Connection[] {
    return [...this.#lists.values()].flat();
  }

  /** Drops what is kept of those who have no connection any more. */
  forget(): void {
    for (const [key, list] of this.#lists) {
      if (list.length === 0) {
        this.#lists.delete(key);
      }
    }
  }

  #unlink(connection: Connection): void {
    const { older, newer } = connection;
    if (older === undefined) {
      this.#oldest = newer;
    } else {
      older.newer = newer;
    }
    if (newer === undefined) {
      this.#newest = older;
    } else {
      newer.older = older;
    }
    connection.older = undefined;
    connection.newer = undefined;
    connection.isIdle = false;
    this.#size -= 1;
  }
}
