/**
 * One try of a request on its way up, and what comes back: the same for both versions of HTTP.
 *
 * Rule: within `request` nothing is told to the sink. Then: any number of `onInterim`, and one of `onResponse` and `onFailed`,
 * unless `abort` comes first, after which it hears nothing more.
 */
import type { ByteConn } from '@ambit/proxy';
import type { BodySource } from '../body.ts';
import type { HttpError } from '../errors.ts';
import type { HeaderList } from '../headers.ts';
import type { UpstreamLink } from './message.ts';

export interface TryRequest {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  /** With query. */
  readonly path: string;
  /** Framing and what concerns a hop alone is left out, whatever it says: `contentLength` counts. Not changed before the response or the failure. */
  readonly headers: HeaderList;
  /** Started when a connection is there. Cancelled when the try is over before it is whole, also if it was not started. */
  readonly body: BodySource | undefined;
  /** Of the body. Undefined with a body: its length is known at its end. */
  readonly contentLength?: number | undefined;
}

export interface TryResponse {
  readonly status: number;
  /** Without what concerns the hop alone. */
  readonly headers: HeaderList;
  /** To be started or cancelled, also when it is empty. Held back until then. */
  readonly body: BodySource;
  /** There is neither data nor a trailer (HEAD, 204, 304, a length of 0, END_STREAM). */
  readonly isEmpty: boolean;
  /** As announced; of an answer to HEAD, what GET would have got. */
  readonly contentLength: number | undefined;
}

/** What the sender of a request is told. */
export interface TrySink {
  /** 1xx but 101. */
  onInterim?(status: number, headers: HeaderList): void;
  onResponse(response: TryResponse): void;
  /** No response came, or none that can be read. */
  onFailed(error: HttpError): void;
}

export interface UpgradeRequest extends Omit<TryRequest, 'body' | 'contentLength'> {
  /** The value of `Upgrade`: the protocol that is asked for. */
  readonly protocol: string;
}

export interface UpgradeSink extends TrySink {
  /** Instead of `onResponse`: the server switches. `conn` is to be started or destroyed, and is nobody else's any more. */
  onSwitched(status: number, headers: HeaderList, conn: ByteConn): void;
}

export interface Try {
  /**
   * Ends it wherever it is, and the connection as far as that is needed. A response's body that has begun is told
   * `onFailed(reason)`. After the end of the response it does nothing; idempotent.
   */
  abort(reason: HttpError): void;
}

/** Connections of one version of HTTP. */
export interface TryPool {
  request(link: UpstreamLink, request: TryRequest, sink: TrySink): Try;
  /** Begins to close what stays idle. Ends with `destroy`. */
  run(): Promise<void>;
  /** Everything ends now; whoever still waits or asks is refused. */
  destroy(): void;
}

/** HTTP/1 alone. */
export interface UpgradePool extends TryPool {
  /** On a connection of its own. Sent once. */
  upgrade(link: UpstreamLink, request: UpgradeRequest, sink: UpgradeSink): Try;
}
