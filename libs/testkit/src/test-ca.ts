/**
 * A CA for tests: makes identities as the real one does, valid for an hour of the wall clock unless told.
 */
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';

import { type Clock, systemClock } from '@ambit/core';
import { buildCa, buildLeaf, CertificateAuthority, type Issuer } from '@ambit/identity';
import {
  buildCrl,
  buildOddLeaf,
  type CrlOptions,
  type OddLeafOptions,
} from '@ambit/identity/testing';

export interface TestIdentity {
  /** `spiffe://…` */
  readonly identity: string;
  readonly privateKeyPem: string;
  readonly chainPem: string;
  readonly rootsPem: string;
  readonly notAfterMs: number;
}

export interface IssueOptions {
  readonly notAfterMs?: number;
  readonly notBeforeMs?: number;
  /** Instead of the one URI of the identity. Empty: a certificate with a DNS name alone. */
  readonly uris?: readonly string[];
}

const HOUR_MS = 3_600_000;

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

export class TestCa {
  readonly #issuer: Issuer;
  readonly rootPem: string;

  constructor(organization = 'test') {
    const privateKey = newKey();
    const now = Date.now();
    const ca = buildCa({
      privateKey,
      organization,
      validity: { notBeforeMs: now - 24 * HOUR_MS, notAfterMs: now + 24 * HOUR_MS },
    });
    this.#issuer = { certificate: ca.certificate, privateKey };
    this.rootPem = ca.pem;
  }

  /** `identity`: the whole SPIFFE id. */
  issue(identity: string, options: IssueOptions = {}): TestIdentity {
    const uris = options.uris ?? [identity];
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const now = Date.now();
    const notAfterMs = options.notAfterMs ?? now + HOUR_MS;
    const leaf = buildLeaf({
      issuer: this.#issuer,
      publicKey: pair.publicKey,
      names:
        uris.length === 0
          ? [{ kind: 'dns', value: 'no-identity.test' }]
          : uris.map((value) => ({ kind: 'uri', value })),
      validity: { notBeforeMs: options.notBeforeMs ?? now - HOUR_MS, notAfterMs },
    });
    return {
      identity,
      privateKeyPem: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      chainPem: leaf.pem,
      rootsPem: this.rootPem,
      notAfterMs,
    };
  }

  /** `sa` in namespace `ns` of `cluster.local`. */
  workload(ns: string, sa: string, options: IssueOptions = {}): TestIdentity {
    return this.issue(`spiffe://cluster.local/ns/${ns}/sa/${sa}`, options);
  }

  /** A certificate that ended a minute ago. */
  expired(ns: string, sa: string): TestIdentity {
    return this.workload(ns, sa, { notAfterMs: Date.now() - 60_000 });
  }

  /** A leaf as no CA should sign it; what is not said is as in a right one. `identity`: what its holder takes itself for. */
  odd(identity: string, options: Partial<OddLeafOptions>): TestIdentity {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const now = Date.now();
    const notAfterMs = now + HOUR_MS;
    const leaf = buildOddLeaf({
      issuer: this.#issuer,
      publicKey: pair.publicKey,
      names: [{ tag: 6, value: identity }],
      keyUsage: 0x80,
      extendedUsage: ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'],
      isCa: false,
      validity: { notBeforeMs: now - HOUR_MS, notAfterMs },
      ...options,
    });
    return {
      identity,
      privateKeyPem: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      chainPem: leaf.pem,
      rootsPem: this.rootPem,
      notAfterMs,
    };
  }

  /** A list of this root that revokes these, good for an hour unless told. PEM. */
  crl(revoked: readonly TestIdentity[], options: Partial<CrlOptions> = {}): string {
    const now = Date.now();
    return buildCrl({
      issuer: this.#issuer,
      thisUpdateMs: now - 60_000,
      nextUpdateMs: now + HOUR_MS,
      revoked: revoked.map(({ chainPem }) => new X509Certificate(chainPem).serialNumber),
      ...options,
    });
  }

  /** From this root, for an identity of another trust domain. */
  otherTrustDomain(ns: string, sa: string): TestIdentity {
    return this.issue(`spiffe://other.domain/ns/${ns}/sa/${sa}`);
  }

  /** From this root, with no identity in it. */
  withoutIdentity(): TestIdentity {
    return this.issue('', { uris: [] });
  }

  /** The real CA on this root. */
  authority(
    options: { readonly clock?: Clock; readonly trustDomain?: string } = {},
  ): CertificateAuthority {
    const { clock = systemClock, trustDomain = 'cluster.local' } = options;
    const key = this.#issuer.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    return CertificateAuthority.fromTexts({
      trustDomain,
      clock,
      defaultTtlSeconds: 3_600,
      texts: { certificate: this.rootPem, key, chain: '', roots: this.rootPem },
    });
  }
}
