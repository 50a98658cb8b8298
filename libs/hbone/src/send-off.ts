/**
 * Ends a connection whose handshake is over, but for which there is no session.
 *
 * Rule: its peer hears our SETTINGS (RFC 9113 §3.4), so that it does not take the end for a certificate that was refused, and nothing else: it
 * has reached nobody, and may ask again or elsewhere. Closed at once the connection would be reset for what is not read, which overtakes
 * what is said.
 */
import type { TLSSocket } from 'node:tls';

import type { Clock } from '@ambit/core';
import { FINISHED } from '@ambit/proxy';
import { settled } from './session.ts';

/** Without any. */
const SETTINGS = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0);

/** What comes meanwhile is dropped. Cut after `timeoutMs`, if the peer does not close before. */
export async function sendOff(socket: TLSSocket, clock: Clock, timeoutMs: number): Promise<void> {
  const gone = new AbortController();
  socket.once('close', () => gone.abort(FINISHED));
  socket.resume();
  socket.end(SETTINGS);
  if (await settled(clock.sleep(timeoutMs, gone.signal))) {
    socket.destroy();
  }
}
