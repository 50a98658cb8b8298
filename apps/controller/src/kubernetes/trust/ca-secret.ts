/**
 * The Secret that holds a CA: what is kept of it, what may be wrong with it, and how ours looks.
 *
 *   ca-cert.pem     the certificate that signs (one)
 *   ca-key.pem      its key
 *   cert-chain.pem  from it up to the root; may be absent or empty
 *   root-cert.pem   the roots to trust, one or more; absent or empty: ca-cert.pem is the root
 *   ca-crl.pem      revocation lists for the proxies; may be absent
 *
 * or, as cert-manager writes it, tls.crt (the certificate and its chain), tls.key and ca.crt. What is refused is never
 * written over: somebody has to look at it. No message holds a value.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';

import { type CaTexts, decodePem } from '@ambit/identity';
import type { KubeObject } from '@ambit/kube';

import { ControllerError } from '../../errors.ts';
import { MANAGED_BY } from '../context.ts';

export const SECRETS = { group: '', version: 'v1', resource: 'secrets' };

/** While roots rotate: how far. */
export const ROTATION_ANNOTATION = 'ambit.io/ca-rotation';

export const CA_KEYS = {
  certificate: 'ca-cert.pem',
  key: 'ca-key.pem',
  chain: 'cert-chain.pem',
  roots: 'root-cert.pem',
} as const;
/** Revocation lists of the mesh's CAs; may be absent, and empty to take back what proxies have. */
const CRL_KEY = 'ca-crl.pem';
const TLS_KEYS = { certificate: 'tls.crt', key: 'tls.key', roots: 'ca.crt' } as const;

/** What is kept of a Secret while it is watched. */
export interface CaSecret {
  /** `namespace/name` */
  readonly name: string;
  readonly resourceVersion: string;
  /** The controller made it. */
  readonly isOurs: boolean;
  readonly annotations: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly type: string;
  /** As text. */
  readonly values: Readonly<Record<string, string>>;
}

/** The controller made it. */
export function isManaged({ metadata }: KubeObject): boolean {
  return Object.entries(MANAGED_BY).every(([key, value]) => metadata.labels?.[key] === value);
}

export function caSecretOf(object: KubeObject): CaSecret {
  const { metadata } = object;
  const data = (object['data'] ?? {}) as Readonly<Record<string, unknown>>;
  const values: Record<string, string> = {};
  for (const [key, value] of Object.entries(data)) {
    if (typeof value === 'string') values[key] = Buffer.from(value, 'base64').toString('utf8');
  }
  return {
    name: `${metadata.namespace ?? ''}/${metadata.name}`,
    resourceVersion: metadata.resourceVersion ?? '',
    isOurs: isManaged(object),
    annotations: metadata.annotations ?? {},
    labels: metadata.labels ?? {},
    type: typeof object['type'] === 'string' ? object['type'] : 'Opaque',
    values,
  };
}

/** Throws CONTROLLER_CA_SECRET_INVALID that names the Secret and its key. Whether the parts fit is the CA's to see. */
export function caTextsOf(secret: CaSecret): CaTexts {
  const { values } = secret;
  if (values[CA_KEYS.certificate] === undefined && values[TLS_KEYS.certificate] !== undefined) {
    return tlsTexts(secret);
  }
  const certificate = certificatesAt(secret, CA_KEYS.certificate);
  const chain = blank(values[CA_KEYS.chain]) ? '' : certificatesAt(secret, CA_KEYS.chain);
  const roots = blank(values[CA_KEYS.roots])
    ? selfSigned(secret, certificate)
    : certificatesAt(secret, CA_KEYS.roots);
  return { certificate, key: keyAt(secret, CA_KEYS.key), chain, roots, ...crlOf(secret) };
}

/** For a new Secret, or a change of one. */
export function dataOf(texts: CaTexts): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(CA_KEYS).map(([part, key]) => [
      key,
      encode(texts[part as keyof typeof CA_KEYS]),
    ]),
  );
}

export function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}

export function ownSecret(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  texts: CaTexts,
): KubeObject & { readonly apiVersion: string; readonly kind: string } {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace, name, labels: MANAGED_BY },
    type: 'ambit.io/ca-root',
    data: dataOf(texts),
  };
}

function tlsTexts(secret: CaSecret): CaTexts {
  const whole = certificatesAt(secret, TLS_KEYS.certificate);
  const end = '-----END CERTIFICATE-----\n';
  const cut = whole.indexOf(end) + end.length;
  return {
    certificate: whole.slice(0, cut),
    key: keyAt(secret, TLS_KEYS.key),
    chain: whole.slice(cut),
    roots: certificatesAt(secret, TLS_KEYS.roots),
    ...crlOf(secret),
  };
}

function crlOf({ values }: CaSecret): Pick<CaTexts, 'crl'> {
  const crl = values[CRL_KEY];
  return crl === undefined ? {} : { crl };
}

/** The certificates of a key, as PEM and nothing else. */
function certificatesAt(secret: CaSecret, key: string): string {
  const text = present(secret, key);
  try {
    const certificates = decodePem(text, { labels: ['CERTIFICATE'] });
    return certificates.map((der) => new X509Certificate(der).toString()).join('');
  } catch (error) {
    throw invalid(secret, key, error instanceof Error ? error.message : String(error));
  }
}

function keyAt(secret: CaSecret, key: string): string {
  const text = present(secret, key);
  try {
    createPrivateKey(text);
  } catch {
    // The library's message says nothing that helps, and must not say anything of the content.
    throw invalid(secret, key, 'it is no private key in PEM');
  }
  return text;
}

function selfSigned(secret: CaSecret, certificate: string): string {
  const parsed = new X509Certificate(certificate);
  if (!parsed.checkIssued(parsed)) {
    throw invalid(
      secret,
      CA_KEYS.roots,
      `it is missing, and ${CA_KEYS.certificate} is no root itself`,
    );
  }
  return certificate;
}

function present({ values, ...secret }: CaSecret, key: string): string {
  const text = values[key];
  if (text === undefined || blank(text)) {
    const found = Object.keys(values).sort().join(', ').slice(0, 200) || 'nothing';
    throw invalid(secret, key, `it is missing or empty; the Secret has ${found}`);
  }
  return text;
}

function blank(text: string | undefined): boolean {
  return text === undefined || text.trim() === '';
}

function invalid(secret: Pick<CaSecret, 'name'>, key: string, why: string): ControllerError {
  return new ControllerError(
    'CONTROLLER_CA_SECRET_INVALID',
    `Secret ${secret.name}: ${key}: ${why}`,
  );
}
