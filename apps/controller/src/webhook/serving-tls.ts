/** The certificate that the webhook serves with, and how it learns of a new one. */
import type { ServingCertificate } from '@ambit/identity';

export interface ServingTls {
  readonly current: () => Pick<ServingCertificate, 'certificateChainPem' | 'privateKeyPem'>;
  /** `listener` is called after every change, until the returned function is. */
  readonly onChange: (listener: () => void) => () => void;
}

/** For whoever is handed new certificates: `ServingRenewal.start((next) => holder.use(next))`. */
export class CertificateHolder implements ServingTls {
  #certificate: ServingCertificate;
  readonly #listeners = new Set<() => void>();

  constructor(first: ServingCertificate) {
    this.#certificate = first;
  }

  readonly current = (): ServingCertificate => this.#certificate;

  readonly onChange = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  use(next: ServingCertificate): void {
    this.#certificate = next;
    for (const listener of this.#listeners) listener();
  }
}
