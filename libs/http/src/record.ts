/** What is known of a finished request or connection: the one source of access log and metrics. */
import type { Verdict } from '@ambit/policy';
import type { HttpError, ResponseFlag } from './errors.ts';
import type { HttpVersion } from './message.ts';
import type { Caller, Destination } from './plane.ts';
import type { MeshEndpoint } from './upstream/cluster-state.ts';

interface CommonRecord {
  readonly caller: Caller;
  readonly destination: Destination;
  readonly startedAtMs: number;
  readonly durationMs: number;
  /** Client to server. */
  readonly bytesReceived: number;
  /** Server to client. */
  readonly bytesSent: number;
  readonly flags: readonly ResponseFlag[];
  readonly verdict?: Verdict;
  readonly routeName?: string;
  readonly endpoint?: MeshEndpoint;
  readonly clusterName?: string;
  readonly error?: Error;
}

export interface RequestRecord extends CommonRecord {
  readonly kind: 'request';
  readonly protocol: HttpVersion;
  readonly isGrpc: boolean;
  readonly method: string;
  readonly authority: string;
  /** As sent, without query. */
  readonly path: string;
  readonly requestId: string;
  /** 0: the client went before it was answered. */
  readonly status: number;
  readonly grpcStatus?: number;
  readonly attempts: number;
  readonly error?: HttpError;
}

export interface ConnectionRecord extends CommonRecord {
  readonly kind: 'connection';
}

export interface HttpObserver {
  onRequest(record: RequestRecord): void;
  onConnectionOpened(
    connection: Pick<ConnectionRecord, 'caller' | 'destination' | 'endpoint'>,
  ): void;
  onConnection(record: ConnectionRecord): void;
}
