/** What a stream needs: a session, and somebody who reads it. */
import type { ByteConn, ByteSink } from '@ambit/proxy';
import type { ErrorNumber } from '../frames/protocol.ts';
import type { Fields } from '../message.ts';
import type { Outgoing } from './outgoing.ts';
import type { ReceiveWindow } from './receive-window.ts';
import type { Stream } from './stream.ts';

export interface StreamSink extends ByteSink {
  /** Between the last of the data and `onEnd`. */
  onTrailers?(fields: Fields): void;
}

/** What a stream needs of its session. */
export interface StreamHost {
  readonly transport: ByteConn;
  readonly sendBufferBytes: number;
  /** The stream has something that may be sent. */
  wantSend(stream: Stream): void;
  /** Writes as much of the chunk now as nobody waits for, and returns how much that was. */
  sendAtOnce(stream: Stream, outgoing: Outgoing, chunk: Uint8Array): number;
  /** A header block, now. */
  sendFields(
    stream: Stream,
    fields: Fields,
    options: { readonly endStream: boolean; readonly neverIndexed?: readonly string[] | undefined },
  ): void;
  /** Gives back what the reader took; `window` has the number. `heldBytes` wait for the reader. */
  sendWindow(stream: Stream, window: ReceiveWindow, heldBytes: number): void;
  sendReset(stream: Stream, code: ErrorNumber): void;
  /** Both sides have ended. */
  onBothEnded(stream: Stream): void;
  addHeld(bytes: number): void;
  /** The stream takes nothing more in; so much is still to be read. Again when that is less. */
  closeWindow(window: ReceiveWindow, heldBytes: number): void;
  /** Runs what calls back into whoever reads the stream, where nobody else would catch what it throws. */
  guarded(work: () => void): void;
}

export interface StreamOptions {
  readonly id: number;
  readonly host: StreamHost;
  readonly sendWindow: number;
  readonly receiveWindow: ReceiveWindow;
}
