/** What is known of a finished request or connection: the one source of access log and metrics. */
import type { Verdict } from '@ambit/policy';
import type { PhaseName } from '@ambit/routing';
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
  readonly verdict?: Verdict | undefined;
  readonly routeName?: string | undefined;
  readonly endpoint?: MeshEndpoint | undefined;
  readonly clusterName?: string | undefined;
  readonly error?: Error | undefined;
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
  readonly grpcStatus?: number | undefined;
  readonly attempts: number;
  /** Which phase answered it: `respond` where an upstream did. */
  readonly phase: PhaseName;
  readonly error?: HttpError | undefined;
}

export interface ConnectionRecord extends CommonRecord {
  readonly kind: 'connection';
}

export interface RefusalRecord {
  readonly caller: Caller;
  readonly destination: Destination;
  readonly phase: 'decode';
  readonly error: Error;
}

export interface HttpObserver {
  onRequest(record: RequestRecord): void;
  onConnectionOpened(
    connection: Pick<ConnectionRecord, 'caller' | 'destination' | 'endpoint'>,
  ): void;
  onConnection(record: ConnectionRecord): void;
  /** Bytes that are no request, or a client that is too slow: answered, where it could be, and cut. */
  onRefused?(refusal: RefusalRecord): void;
}
