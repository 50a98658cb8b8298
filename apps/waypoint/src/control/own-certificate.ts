/** Keeps the waypoint's own certificate and tells the workers of every change. */
import type { CertificateEvent, WorkloadCertificate } from '@ambit/identity';
import type { Logger } from '@ambit/telemetry';
import type { ToWorker } from '../proxy/messages.ts';

export class OwnCertificate {
  readonly #log: Logger;
  readonly #tell: (message: ToWorker) => void;
  readonly #issued = Promise.withResolvers<void>();
  #last: ToWorker | undefined;

  constructor(options: { readonly log: Logger; readonly tell: (message: ToWorker) => void }) {
    this.#log = options.log;
    this.#tell = options.tell;
  }

  /** Resolves with the first certificate. */
  get issued(): Promise<void> {
    return this.#issued.promise;
  }

  /** For a worker that starts now. */
  get message(): readonly ToWorker[] {
    return this.#last === undefined ? [] : [this.#last];
  }

  readonly onEvent = (event: CertificateEvent): void => {
    switch (event.kind) {
      case 'issued':
        this.#set(event.certificate);
        return;
      case 'failed':
        this.#log.warn('certificate not renewed', {
          reason: event.reason,
          retryInMs: event.retryInMs,
          isServing: event.isServing,
        });
        return;
      case 'unavailable':
        this.#log.error('certificate is gone, refusing everyone', { reason: event.reason });
        this.#send({ kind: 'certificate-unavailable', reason: event.reason });
        return;
      case 'evicted':
        this.#send({ kind: 'certificate-unavailable', reason: 'it was given up' });
    }
  };

  #set(certificate: WorkloadCertificate): void {
    const { identity, privateKeyPem, chainPem, rootsPem, notAfterMs } = certificate;
    this.#log.info('certificate issued', {
      identity,
      notAfter: new Date(notAfterMs).toISOString(),
    });
    this.#send({
      kind: 'certificate',
      material: { identity, privateKeyPem, chainPem, rootsPem, notAfterMs },
    });
    this.#issued.resolve();
  }

  #send(message: ToWorker): void {
    this.#last = message;
    this.#tell(message);
  }
}
