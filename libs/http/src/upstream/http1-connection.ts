/** A connection of the pool: whose requests it may carry, and since when it has none. */
import type { ByteConn } from '@ambit/proxy';
import {
  type ClientConnectionOptions,
  H1ClientConnection,
} from '../h1/connection/client-connection.ts';
import type { IdleConnection } from './idle-connections.ts';
import type { UpstreamLink } from './message.ts';
import { SlowHead } from './slow-heads.ts';

export interface PooledConnection extends IdleConnection {
  readonly connection: H1ClientConnection;
  readonly slowHead: SlowHead;
  idleSinceMs: number;
}

/** Not started. */
export function newPooledConnection(
  conn: ByteConn,
  link: UpstreamLink,
  options: ClientConnectionOptions,
): PooledConnection {
  return {
    connection: new H1ClientConnection(conn, options),
    link,
    slowHead: new SlowHead(),
    idleSinceMs: 0,
    isIdle: false,
    older: undefined,
    newer: undefined,
  };
}
