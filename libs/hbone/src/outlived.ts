/**
 * Sessions that end after the certificate of ours that they were made with.
 *
 * Rule: while one lasts its key is there; beyond its end nothing keeps it, not even the last work of a thread (`keepsake`, which leads to
 * the session). That is let go once for each such session, and not asked for each connection.
 */
import { type Clock, forgetKeepsakes } from '@ambit/core';
import type { TlsIdentity } from './tls.ts';

/** A session has ended. `current`: what the next one would be made with; undefined: nothing. */
export function endedWith(own: TlsIdentity, current: TlsIdentity | undefined, clock: Clock): void {
  if (own !== current || clock.wallNow() >= own.notAfterMs) {
    forgetKeepsakes();
  }
}
