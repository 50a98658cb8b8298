/** The waypoint's own certificate, as the main thread last told. Expired counts as none. */
import type { Clock } from '@ambit/core';
import { HboneError, type TlsIdentity } from '@ambit/hbone';
import type { Revocations } from '@ambit/identity';
import type { CertificateMaterial } from './messages.ts';

export class CertificateSlot {
  readonly #clock: Clock;
  #current: TlsIdentity | undefined;
  #reason = 'it has not been issued yet';
  /** What is asked of peers' certificates. */
  revocations: Revocations | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  set(material: CertificateMaterial): void {
    this.#current = material;
  }

  /** The old one is not used either: the main thread says so only when it has expired. */
  setUnavailable(reason: string): void {
    this.#current = undefined;
    this.#reason = reason;
  }

  /** Throws HBONE_NO_CERTIFICATE. */
  require(): TlsIdentity {
    const current = this.#current;
    if (current !== undefined && this.#clock.wallNow() < current.notAfterMs) {
      return current;
    }
    const why = current === undefined ? this.#reason : 'it has expired';
    throw new HboneError('HBONE_NO_CERTIFICATE', `identity error: no certificate: ${why}`, {
      side: 'control-plane',
    });
  }
}
