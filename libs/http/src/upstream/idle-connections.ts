/** Connections that wait for a request, by whom they may serve. */
import type { ClusterState } from './cluster-state.ts';
import type { UpstreamLink } from './message.ts';

/** What the list needs to know of one. */
export interface IdleConnection {
  readonly link: UpstreamLink;
  isIdle: boolean;
}

export class IdleConnections<Connection extends IdleConnection> {
  /** Most recently used last. */
  readonly #lists = new Map<string, Connection[]>();
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
    this.#size += 1;
  }

  /** The one that was used last. */
  take(key: string): Connection | undefined {
    const list = this.#lists.get(key);
    const connection = list?.pop();
    if (connection !== undefined) {
      this.#taken(connection, list);
    }
    return connection;
  }

  /** Does nothing where it is not in the list. */
  drop(connection: Connection): void {
    const list = this.#lists.get(connection.link.key);
    const index = connection.isIdle ? (list?.indexOf(connection) ?? -1) : -1;
    if (index !== -1) {
      list?.splice(index, 1);
      this.#taken(connection, list);
    }
  }

  /** Of the endpoint and caller that were not served for longest; exact where they have one connection each. */
  oldest(): Connection | undefined {
    for (const [connection] of this.#lists.values()) {
      return connection;
    }
    return undefined;
  }

  /** One that counts for the cluster, unused for longer than others of its endpoint. */
  oneOf(cluster: ClusterState): Connection | undefined {
    for (const list of this.#lists.values()) {
      for (const connection of list) {
        if (connection.link.cluster === cluster) {
          return connection;
        }
      }
    }
    return undefined;
  }

  /** A list of its own. */
  all(): Connection[] {
    return [...this.#lists.values()].flat();
  }

  #taken(connection: Connection, list: readonly Connection[] | undefined): void {
    connection.isIdle = false;
    this.#size -= 1;
    if (list?.length === 0) {
      this.#lists.delete(connection.link.key);
    }
  }
}
