/**
 * Workload certificates from cert-manager: a CertificateRequest for each, in the controller's namespace, which is
 * deleted once it is answered. Whether it is approved is its approver's to say, not ours.
 *
 * Only workloads' certificates come from there. The controller's own port and webhook keep the CA in its Secret, so
 * that agents can reach it while cert-manager is away; that CA is in no workload's bundle.
 */
import { randomBytes } from 'node:crypto';

import type { Clock } from '@ambit/core';
import {
  type CertificateIssuer,
  formatSpiffeId,
  IdentityError,
  type IssuedCertificate,
  parseCertificates,
  type SpiffeId,
} from '@ambit/identity';
import { isKubeError, Reflector } from '@ambit/kube';

import { type KubernetesContext, MANAGED_BY } from '../../context.ts';
import { LeaderDuty } from '../../leader-duty.ts';
import type { TrustRoot } from '../trust-root.ts';
import {
  CERTIFICATE_REQUESTS,
  certificateRequest,
  type RequestOutcome,
  type WatchedRequest,
  watchedRequest,
} from './certificate-request.ts';
import { issuedCertificate, requireOnly } from './check-issued.ts';
import type { IssuerReference } from './issuer-reference.ts';

/** An agent gives a request up after 15 s. */
const TIMEOUT_MS = 12_000;
const IN_FLIGHT_MAX = 64;
/** What a process that ended left behind. */
const LEFT_AFTER_MS = 10 * 60_000;
const SWEEP_MS = 5 * 60_000;
/** Of roots that the issuer said; an issuer that has more changes them too often to be followed. */
const ROOTS_MAX = 8;
const LABELS = Object.entries(MANAGED_BY)
  .map(([key, value]) => `${key}=${value}`)
  .join(',');

export interface CertManagerIssuerOptions {
  readonly context: Pick<
    KubernetesContext,
    'http' | 'client' | 'discovery' | 'metrics' | 'clock' | 'log' | 'namespace'
  >;
  readonly issuer: IssuerReference;
  readonly trustDomain: string;
  /** Lifetime when the request names none, and the longest. */
  readonly defaultTtlSeconds: number;
  /** PEM. Default: what the issuer says is its CA, which not every issuer does. */
  readonly roots?: () => string | undefined;
  readonly timeoutMs?: number;
  readonly inFlightMax?: number;
}

export class CertManagerIssuer extends LeaderDuty implements CertificateIssuer, TrustRoot {
  readonly trustDomain: string;
  readonly #options: CertManagerIssuerOptions;
  readonly #clock: Clock;
  readonly #reflector: Reflector<WatchedRequest>;
  readonly #waiting = new Map<string, (outcome: RequestOutcome) => void>();
  readonly #listeners = new Set<() => void>();
  /** PEM of each, as the issuer said them; the newest first. */
  #said: readonly string[] = [];
  #inFlight = 0;

  constructor(options: CertManagerIssuerOptions) {
    super();
    this.#options = options;
    this.trustDomain = options.trustDomain;
    const { http, discovery, clock, metrics, namespace } = options.context;
    this.#clock = clock;
    this.#reflector = new Reflector({
      http,
      discovery,
      clock,
      metrics,
      resource: { ...CERTIFICATE_REQUESTS, versions: ['v1'] },
      namespace,
      labelSelector: LABELS,
      prune: watchedRequest,
      onEvent: (event) => {
        if (event.kind === 'added' || event.kind === 'updated') {
          this.#waiting.get(event.key)?.(event.object.outcome);
        }
      },
    });
  }

  /** Begins to watch answers. */
  start(): void {
    this.#reflector.start();
  }

  async stop(): Promise<void> {
    await this.#reflector.stop();
  }

  get isOpen(): boolean {
    return this.#bundle !== '';
  }

  /** Of workloads. Empty before the issuer has said a root, if none is configured. */
  get rootBundlePem(): string {
    return this.#bundle;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Throws IDENTITY_CSR_INVALID for a request that asks for more than its identity, IDENTITY_CA_INVALID when the
   * request was denied or has failed, IDENTITY_CA_UNAVAILABLE (retryable) when nobody answered in time, IDENTITY_LIMIT.
   */
  async sign(request: {
    readonly csrPem: string;
    readonly identity: SpiffeId;
    readonly ttlSeconds?: number;
  }): Promise<IssuedCertificate> {
    const { csrPem, identity, ttlSeconds = 0 } = request;
    const { inFlightMax = IN_FLIGHT_MAX, defaultTtlSeconds } = this.#options;
    requireOnly(identity, csrPem);
    if (identity.trustDomain !== this.trustDomain) {
      throw new IdentityError(
        'IDENTITY_SPIFFE_INVALID',
        `this mesh is ${this.trustDomain}, not ${identity.trustDomain}`,
        { side: 'downstream' },
      );
    }
    if (this.#inFlight >= inFlightMax) {
      throw new IdentityError(
        'IDENTITY_LIMIT',
        `${inFlightMax} certificate requests wait for cert-manager already`,
        { retryable: true },
      );
    }
    this.#inFlight += 1;
    try {
      const ttl = ttlSeconds > 0 ? Math.min(ttlSeconds, defaultTtlSeconds) : defaultTtlSeconds;
      const { chainPem, caPem } = await this.#issue(csrPem, { identity, ttlSeconds: ttl });
      this.#learn(caPem);
      const rootBundlePem = this.#bundle;
      if (rootBundlePem === '') {
        throw new IdentityError(
          'IDENTITY_CA_INVALID',
          `${this.#issuerName} does not say its CA; the roots have to be configured`,
        );
      }
      const nowMs = this.#clock.wallNow();
      return issuedCertificate({ identity, csrPem, chainPem, rootBundlePem, nowMs });
    } finally {
      this.#inFlight -= 1;
    }
  }

  /** Takes away what replicas left that have ended. */
  protected override async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      for (const [key, { createdAtMs, uid }] of [...this.#reflector.entries()]) {
        const isLeft = this.#clock.wallNow() - createdAtMs > LEFT_AFTER_MS;
        if (isLeft && !signal.aborted) await this.#remove(key.slice(key.indexOf('/') + 1), uid);
      }
      await this.#clock.sleep(SWEEP_MS, signal).catch(() => {
        // Not leading any more: the loop ends.
      });
    }
  }

  get #issuerName(): string {
    const { kind, name } = this.#options.issuer;
    return `${kind} ${name}`;
  }

  get #bundle(): string {
    return this.#options.roots?.() ?? this.#said.join('');
  }

  async #issue(
    csrPem: string,
    { identity, ttlSeconds }: { readonly identity: SpiffeId; readonly ttlSeconds: number },
  ): Promise<Extract<RequestOutcome, { kind: 'issued' }>> {
    const { context, issuer, timeoutMs = TIMEOUT_MS } = this.#options;
    const { namespace } = context;
    const name = `ambit-${randomBytes(8).toString('hex')}`;
    const key = `${namespace}/${name}`;
    const answer = Promise.withResolvers<RequestOutcome>();
    let last: RequestOutcome = { kind: 'pending', reason: 'it was not made yet' };
    this.#waiting.set(key, (outcome) => {
      last = outcome;
      if (outcome.kind !== 'pending') answer.resolve(outcome);
    });
    const done = new AbortController();
    const late = this.#clock.sleep(timeoutMs, done.signal).then(
      () => last,
      () => last,
    );
    let uid: string | undefined;
    try {
      const text = formatSpiffeId(identity);
      const object = certificateRequest({
        namespace,
        name,
        identity: text,
        csrPem,
        ttlSeconds,
        issuer,
      });
      uid = (await this.#create(object)).metadata.uid ?? '';
      last = { kind: 'pending', reason: 'cert-manager has not looked at it' };
      const outcome = await Promise.race([answer.promise, late]);
      if (outcome.kind === 'issued') return outcome;
      const what = `CertificateRequest ${key} to ${this.#issuerName}`;
      throw outcome.kind === 'refused'
        ? new IdentityError('IDENTITY_CA_INVALID', `${what}: ${outcome.reason}`)
        : unavailable(`${what} was not answered within ${timeoutMs} ms: ${outcome.reason}`);
    } finally {
      done.abort();
      this.#waiting.delete(key);
      if (uid !== undefined) void this.#remove(name, uid);
    }
  }

  async #create(object: ReturnType<typeof certificateRequest>) {
    try {
      return await this.#options.context.client.create(CERTIFICATE_REQUESTS, object);
    } catch (error) {
      const why = isKubeError(error, 'KUBE_NOT_FOUND')
        ? 'cert-manager is not installed'
        : error instanceof Error
          ? error.message
          : String(error);
      throw unavailable(`no certificate request can be made: ${why}`, error);
    }
  }

  async #remove(name: string, uid: string): Promise<void> {
    const { client, log, namespace } = this.#options.context;
    try {
      await client.delete(CERTIFICATE_REQUESTS, { namespace, name }, uid === '' ? {} : { uid });
    } catch (error) {
      if (!isKubeError(error, 'KUBE_NOT_FOUND', 'KUBE_CONFLICT')) {
        log.warn('a certificate request cannot be deleted', { name, error });
      }
    }
  }

  /** An issuer that changes its CA: what it said before stays trusted until it ends. */
  #learn(caPem: string): void {
    if (caPem.trim() === '' || this.#options.roots?.() !== undefined) return;
    const nowMs = this.#clock.wallNow();
    const texts = parseCertificates(caPem).map(String);
    if (texts.every((text) => this.#said.includes(text))) return;
    const kept = this.#said.filter(
      (text) =>
        !texts.includes(text) &&
        parseCertificates(text).every((one) => one.validToDate.getTime() > nowMs),
    );
    this.#said = [...texts, ...kept].slice(0, ROOTS_MAX);
    this.#options.context.log.info('roots of the issuer', {
      issuer: this.#issuerName,
      count: this.#said.length,
    });
    for (const listener of this.#listeners) listener();
  }
}

/** What every namespace is told: the roots of workloads, and that of the controller's own port. */
export function bothRoots(one: TrustRoot, two: TrustRoot): TrustRoot {
  const open = (): readonly TrustRoot[] => [one, two].filter(({ isOpen }) => isOpen);
  return {
    get isOpen() {
      return one.isOpen || two.isOpen;
    },
    get rootBundlePem() {
      return open()
        .map(({ rootBundlePem }) => rootBundlePem)
        .join('');
    },
    // Of the CA of ours alone: what cert-manager's issuers revoke nobody tells us.
    get crlPem() {
      return open().find(({ crlPem }) => crlPem !== undefined)?.crlPem;
    },
    onChange: (listener) => {
      const stops = [one.onChange(listener), two.onChange(listener)];
      return () => {
        for (const stop of stops) stop();
      };
    },
  };
}

function unavailable(why: string, cause?: unknown): IdentityError {
  return new IdentityError('IDENTITY_CA_UNAVAILABLE', why, {
    side: 'control-plane',
    retryable: true,
    cause,
  });
}
