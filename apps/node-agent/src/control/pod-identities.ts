/**
 * The certificates that this node's captured pods need, and nobody else's.
 *
 * An identity is kept while a pod that is served has it, here and in the workers; pods of one service account share it.
 */
import type { Clock } from '@ambit/core';
import type { CertificateEvent, CertificateManager, WorkloadCertificate } from '@ambit/identity';
import type { Logger } from '@ambit/telemetry';
import type { Pod } from '../pods/pod.ts';
import type { ToWorker } from '../worker/messages.ts';

type CertificateMessage = Extract<ToWorker, { kind: 'certificate' | 'certificate-unavailable' }>;
type ForgottenMessage = Extract<ToWorker, { kind: 'certificate-forgotten' }>;

/** How long enrolment waits for a first certificate before it goes on without. */
const WARM_MS = 3_000;

export interface PodIdentitiesOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly manager: Pick<CertificateManager, 'get' | 'prefetch' | 'evict'>;
  /** The trust domain that the controller gives the pod's workload, or the mesh's while that is unknown. */
  readonly trustDomainOf: (pod: Pod) => string;
  readonly tellWorkers: (message: CertificateMessage | ForgottenMessage) => void;
}

export class PodIdentities {
  readonly #options: PodIdentitiesOptions;
  /** What a worker that starts now is told, by identity. */
  readonly #current = new Map<string, CertificateMessage>();
  #wanted: ReadonlySet<string> = new Set();

  constructor(options: PodIdentitiesOptions) {
    this.#options = options;
  }

  identityOf(pod: Pod): string {
    const trustDomain = this.#options.trustDomainOf(pod);
    return `spiffe://${trustDomain}/ns/${pod.namespace}/sa/${pod.serviceAccount}`;
  }

  /** Resolves when there is a certificate or the first attempt failed; never rejects. */
  async warm(pod: Pod, signal: AbortSignal): Promise<void> {
    const { clock, manager } = this.#options;
    const identity = this.identityOf(pod);
    this.#wanted = new Set([...this.#wanted, identity]);
    const done = new AbortController();
    const limit = AbortSignal.any([done.signal, signal]);
    await Promise.race([
      manager.get(identity, { signal: limit }).catch(() => undefined),
      clock.sleep(WARM_MS, limit).catch(() => undefined),
    ]);
    done.abort();
  }

  /** Keeps the identities of these pods and forgets all others. */
  keep(pods: readonly Pod[]): void {
    const { manager, log } = this.#options;
    const wanted = new Set(pods.map((pod) => this.identityOf(pod)));
    for (const identity of this.#wanted) {
      if (!wanted.has(identity)) {
        this.#current.delete(identity);
        manager.evict(identity);
        this.#options.tellWorkers({ kind: 'certificate-forgotten', identity });
      }
    }
    for (const identity of wanted) {
      try {
        manager.prefetch(identity);
      } catch (error) {
        // Its pods are served by nobody: a worker without certificate refuses.
        log.error('cannot keep a certificate', { identity, error });
      }
    }
    this.#wanted = wanted;
  }

  onEvent(event: CertificateEvent): void {
    const { log } = this.#options;
    switch (event.kind) {
      case 'issued':
        log.info('certificate issued', {
          identity: event.certificate.identity,
          notAfter: new Date(event.certificate.notAfterMs).toISOString(),
        });
        this.#tell(event.certificate.identity, {
          kind: 'certificate',
          material: materialOf(event.certificate),
        });
        break;
      case 'failed':
        log.warn('certificate not renewed', event);
        break;
      case 'unavailable':
        log.error('no certificate, connections of this identity are refused', event);
        this.#tell(event.identity, {
          kind: 'certificate-unavailable',
          identity: event.identity,
          reason: event.reason,
        });
        break;
      case 'evicted':
        break;
    }
  }

  certificates(): Iterable<CertificateMessage> {
    return this.#current.values();
  }

  #tell(identity: string, message: CertificateMessage): void {
    if (this.#wanted.has(identity)) {
      this.#current.set(identity, message);
      this.#options.tellWorkers(message);
    }
  }
}

function materialOf(certificate: WorkloadCertificate) {
  const { identity, privateKeyPem, chainPem, rootsPem, notAfterMs } = certificate;
  return { identity, privateKeyPem, chainPem, rootsPem, notAfterMs };
}
