/**
 * Sessions that end after the certificate of ours that they were made with.
 *
 * Rule: while one lasts its key is there; beyond its end the last work of a thread (`keepsake`, which leads to the session) does not keep
 * it. That is let go once for each such session, and not asked for each connection. What a server has for its next handshake is
 * `ServerContext`'s to let go.
 */
import { type Clock, forgetKeepsakes } from '@ambit/core';
import type { TlsIdentity } from './tls.ts';

/** A session has ended. `current`: what the next one would be made with; undefined: nothing. */
export function endedWith(own: TlsIdentity, current: TlsIdentity | undefined, clock: Clock): void {
  if (own !== current || clock.wallNow() >= own.notAfterMs) {
    forgetKeepsakes();
  }
}
