/** One try of a request on its way up, and what comes back. */
import type { Readable } from 'node:stream';
import type { ByteConn } from '@ambit/proxy';
import type { HeaderList } from '../headers.ts';
import type { ClusterState } from './cluster-state.ts';

/** Where one try goes. Connections are shared between tries of the same key. */
export interface UpstreamLink {
  /** Cluster, endpoint and caller: callers do not share a connection, because the tunnel names them. */
  readonly key: string;
  readonly cluster: ClusterState;
  /** Opens a connection to the endpoint. Rejects with a MeshError. */
  readonly dial: (signal: AbortSignal) => Promise<ByteConn>;
}

export interface UpstreamRequest {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  /** With query. */
  readonly path: string;
  readonly headers: HeaderList;
  readonly body: Readable | undefined;
  readonly trailers: () => HeaderList | undefined;
  /** Aborting ends the try, also after the response has begun. */
  readonly signal: AbortSignal;
}

export interface UpstreamResponse {
  readonly status: number;
  readonly headers: HeaderList;
  /** Closes without `end` when the response broke off. */
  readonly stream: Readable;
  /** After the stream has ended. */
  readonly trailers: () => HeaderList | undefined;
}
