/**
 * Renews the root that the controller made, long before it ends: the same key and name in a new certificate.
 *
 * So nothing that is trusted stops being trusted: leaves of before verify with the new certificate, and leaves of
 * after with the old one, for as long as either is valid. Both are in the bundle until the old one has ended. A new
 * key is a rotation, and somebody's decision.
 */
import { X509Certificate } from 'node:crypto';

import { CertificateAuthority, createOwnRoot, parseCertificates } from '@ambit/identity';

import type { KubernetesContext } from '../context.ts';
import { LeaderDuty } from '../leader-duty.ts';
import {
  type CaSecret,
  caSecretOf,
  caTextsOf,
  dataOf,
  ROTATION_ANNOTATION,
  SECRETS,
} from './ca-secret.ts';

const CHECK_MS = 3_600_000;
const RETRY_MS = 60_000;
/** Of its life that is left: two years of ten. */
const RENEW_AT_SHARE = 0.2;

export interface OwnRootRenewalOptions {
  readonly context: Pick<KubernetesContext, 'client' | 'clock' | 'log' | 'namespace'>;
  readonly secretName: string;
  readonly trustDomain: string;
}

export class OwnRootRenewal extends LeaderDuty {
  readonly #options: OwnRootRenewalOptions;

  constructor(options: OwnRootRenewalOptions) {
    super();
    this.#options = options;
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options.context;
    while (!signal.aborted) {
      let waitMs = CHECK_MS;
      try {
        await this.#check(signal);
      } catch (error) {
        if (!signal.aborted) log.warn('the root cannot be renewed', { error });
        waitMs = RETRY_MS;
      }
      await clock.sleep(waitMs, signal).catch(() => {
        // Not leading any more: the loop ends.
      });
    }
  }

  async #check(signal: AbortSignal): Promise<void> {
    const { context, secretName: name } = this.#options;
    const { client, clock, log, namespace } = context;
    const found = await client.find(SECRETS, { namespace, name }, { signal });
    if (found === undefined || signal.aborted) return;
    const texts = renewedTexts(caSecretOf(found), {
      nowMs: clock.wallNow(),
      trustDomain: this.#options.trustDomain,
    });
    if (texts === undefined) return;
    const options = { trustDomain: this.#options.trustDomain, clock, defaultTtlSeconds: 60 };
    // Whoever follows the Secret must be able to use it.
    CertificateAuthority.fromTexts({ ...options, texts });
    const data = { ...(found['data'] as object), ...dataOf(texts) };
    // With the version that was read: somebody else's change must not get lost.
    await client.update(SECRETS, { ...found, data }, { signal });
    const until = new X509Certificate(texts.certificate).validTo;
    log.info('root renewed', { secret: `${namespace}/${name}`, until });
  }
}

/** Undefined when there is nothing to renew. Throws for a Secret that cannot be used. */
export function renewedTexts(
  secret: CaSecret,
  { nowMs, trustDomain }: { readonly nowMs: number; readonly trustDomain: string },
): ReturnType<typeof caTextsOf> | undefined {
  // A rotation brings a new root anyway.
  if (!secret.isOurs || secret.annotations[ROTATION_ANNOTATION] !== undefined) return undefined;
  const texts = caTextsOf(secret);
  const certificate = new X509Certificate(texts.certificate);
  const endMs = certificate.validToDate.getTime();
  const lifeMs = endMs - certificate.validFromDate.getTime();
  const isRoot = certificate.checkIssued(certificate);
  if (!isRoot || endMs - nowMs > lifeMs * RENEW_AT_SHARE) return undefined;
  const commonName = /^CN=(.+)$/m.exec(certificate.subject)?.[1];
  const organization = /^O=(.+)$/m.exec(certificate.subject)?.[1] ?? trustDomain;
  const made = createOwnRoot({
    trustDomain: organization,
    nowMs,
    key: texts.key,
    ...(commonName === undefined ? {} : { commonName }),
  });
  if (new X509Certificate(made.certificate).subject !== certificate.subject) {
    throw new Error('the root has a name that a renewed one could not have');
  }
  const kept = parseCertificates(texts.roots).filter((one) => one.validToDate.getTime() > nowMs);
  return { ...made, chain: '', roots: made.roots + kept.map((one) => one.toString()).join('') };
}
