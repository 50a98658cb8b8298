/**
 * Certificates as this mesh makes them (RFC 5280): roots, intermediates, workload and serving leaves.
 *
 * Structure by ASN.1, signatures by node:crypto. A certificate never outlives its issuer.
 */

import type { X509Certificate } from 'node:crypto';
import { createHash, createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';

import { exportSpki } from './csr.ts';
import {
  type Asn1,
  bits,
  bitsOf,
  bytesOf,
  childrenOf,
  context,
  contextChildren,
  decodeDer,
  embedded,
  encodeDer,
  integer,
  nothing,
  OCTET_STRING,
  oid,
  oidOf,
  SEQUENCE,
  sequence,
  set,
  time,
  utf8,
} from './der.ts';
import { IdentityError } from './errors.ts';
import { OID } from './oids.ts';
import { encodePem, parseCertificate } from './pem.ts';
import {
  authorityKeyId,
  basicConstraints,
  clientAndServerUsage,
  type GeneralName,
  keyUsage,
  subjectAltNames,
  subjectKeyId,
} from './x509-extensions.ts';

/** A leaf is valid from a little before now, for clocks that run behind. */
export const BACKDATE_MS = 120_000;
/** The reference's maximum. */
export const LEAF_LIFETIME_SECONDS_MAX = 90 * 86_400;

const CERTIFICATE_BYTES_MAX = 64 * 1024;

/** A CA that signs: its certificate and key. */
export interface Issuer {
  readonly certificate: X509Certificate;
  readonly privateKey: KeyObject;
}

export interface BuiltCertificate {
  readonly pem: string;
  readonly certificate: X509Certificate;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface LeafOptions {
  readonly issuer: Issuer;
  readonly publicKey: KeyObject;
  /** One URI for a workload; DNS names and addresses for a server. Not empty. */
  readonly names: readonly GeneralName[];
  readonly validity: Validity;
}

/** Empty subject, critical names, client and server use. Cut to the issuer's end. */
export function buildLeaf({ issuer, publicKey, names, validity }: LeafOptions): BuiltCertificate {
  if (names.length === 0) {
    throw new IdentityError('IDENTITY_DER_INVALID', 'a leaf needs a name');
  }
  return build({
    subject: sequence(),
    issuerName: subjectNameOf(issuer.certificate),
    signer: issuer.privateKey,
    publicKey,
    validity: within(validity, issuer.certificate),
    extensions: [
      keyUsage({ isCa: false }),
      clientAndServerUsage(),
      basicConstraints({ isCa: false }),
      ...authorityOf(issuer.certificate),
      subjectAltNames(names, { critical: true }),
    ],
  });
}

export interface CaOptions {
  /** Absent: self-signed. */
  readonly issuer?: Issuer;
  readonly privateKey: KeyObject;
  readonly organization: string;
  readonly commonName?: string;
  readonly pathLength?: number;
  readonly validity: Validity;
}

export function buildCa(options: CaOptions): BuiltCertificate {
  const publicKey = createPublicKey(options.privateKey);
  const subject = nameOf(options);
  const { issuer, pathLength } = options;
  return build({
    subject,
    issuerName: issuer === undefined ? subject : subjectNameOf(issuer.certificate),
    signer: issuer?.privateKey ?? options.privateKey,
    publicKey,
    validity:
      issuer === undefined ? options.validity : within(options.validity, issuer.certificate),
    extensions: [
      keyUsage({ isCa: true }),
      basicConstraints({ isCa: true, ...(pathLength === undefined ? {} : { pathLength }) }),
      subjectKeyId(keyIdOf(publicKey)),
      ...(issuer === undefined ? [] : authorityOf(issuer.certificate)),
    ],
  });
}

export interface BuildOptions {
  readonly subject: Asn1;
  readonly issuerName: Asn1;
  readonly signer: KeyObject;
  readonly publicKey: KeyObject;
  readonly validity: Validity;
  readonly extensions: readonly Asn1[];
}

/** Whatever the extensions say: the callers above are the rules. */
export function build(options: BuildOptions): BuiltCertificate {
  const { notBeforeMs, notAfterMs } = wholeSeconds(options.validity);
  const { algorithm, digest } = signatureOf(options.signer);
  const tbs = sequence(
    context(0, [integer(Uint8Array.of(2))]),
    integer(serialNumber()),
    algorithm,
    options.issuerName,
    sequence(time(notBeforeMs), time(notAfterMs)),
    options.subject,
    embedded(exportSpki(options.publicKey)),
    context(3, [sequence(...options.extensions)]),
  );
  const signature = sign(digest, encodeDer(tbs), options.signer);
  const der = encodeDer(sequence(tbs, algorithm, bits(signature)));
  return {
    pem: encodePem('CERTIFICATE', der),
    certificate: parseCertificate(der),
    notBeforeMs,
    notAfterMs,
  };
}

/** How a CA with this key signs. */
export function signatureOf(key: KeyObject): { readonly algorithm: Asn1; readonly digest: string } {
  if (key.asymmetricKeyType === 'rsa') {
    return { algorithm: sequence(oid(OID.sha256WithRsa), nothing()), digest: 'sha256' };
  }
  switch (key.asymmetricKeyDetails?.namedCurve ?? '') {
    case 'prime256v1':
      return { algorithm: sequence(oid(OID.ecdsaWithSha256)), digest: 'sha256' };
    case 'secp384r1':
      return { algorithm: sequence(oid(OID.ecdsaWithSha384)), digest: 'sha384' };
    case 'secp521r1':
      return { algorithm: sequence(oid(OID.ecdsaWithSha512)), digest: 'sha512' };
    default:
      throw new IdentityError('IDENTITY_CA_INVALID', 'a CA key must be RSA or EC P-256/384/521');
  }
}

/** 128 random bits as a positive INTEGER in its shortest form (RFC 5280 §4.1.2.2). */
function serialNumber(): Uint8Array {
  for (;;) {
    const random = randomBytes(16);
    const first = random[0] ?? 0;
    if (first !== 0) {
      return first < 0x80 ? random : Buffer.concat([Buffer.alloc(1), random]);
    }
  }
}

function wholeSeconds({ notBeforeMs, notAfterMs }: Validity): Validity {
  const rounded = {
    notBeforeMs: Math.floor(notBeforeMs / 1000) * 1000,
    notAfterMs: Math.floor(notAfterMs / 1000) * 1000,
  };
  if (!(rounded.notAfterMs > rounded.notBeforeMs)) {
    throw new IdentityError(
      'IDENTITY_LIFETIME_INVALID',
      'the certificate would end before it starts',
    );
  }
  return rounded;
}

function within(validity: Validity, issuer: X509Certificate): Validity {
  return {
    notBeforeMs: Math.max(validity.notBeforeMs, issuer.validFromDate.getTime()),
    notAfterMs: Math.min(validity.notAfterMs, issuer.validToDate.getTime()),
  };
}

function nameOf({
  organization,
  commonName,
}: Pick<CaOptions, 'organization' | 'commonName'>): Asn1 {
  const parts = [set(sequence(oid(OID.organization), utf8(organization)))];
  if (commonName !== undefined) {
    parts.push(set(sequence(oid(OID.commonName), utf8(commonName))));
  }
  return sequence(...parts);
}

/** SHA-1 of the key bits (RFC 5280 §4.2.1.2, method 1): a name, not a protection. */
function keyIdOf(publicKey: KeyObject): Uint8Array {
  const [, key] = childrenOf(embedded(exportSpki(publicKey)), SEQUENCE, 'public key');
  return createHash('sha1').update(bitsOf(key, 'public key')).digest();
}

function fieldsOf(certificate: X509Certificate): readonly Asn1[] {
  const whole = decodeDer(certificate.raw, { bytesMax: CERTIFICATE_BYTES_MAX });
  const [tbs] = childrenOf(whole, SEQUENCE, 'certificate');
  return childrenOf(tbs, SEQUENCE, 'certificate');
}

export function subjectNameOf(certificate: X509Certificate): Asn1 {
  const fields = fieldsOf(certificate);
  // The version is optional, and everything after it moves by one.
  const subject = fields[contextChildren(fields[0], 0) === undefined ? 4 : 5];
  return sequence(...childrenOf(subject, SEQUENCE, 'subject'));
}

/** The issuer's own key id, so that both extensions agree; none if it has none. */
function authorityOf(issuer: X509Certificate): Asn1[] {
  for (const field of fieldsOf(issuer)) {
    const [extensions] = contextChildren(field, 3) ?? [];
    if (extensions === undefined) {
      continue;
    }
    for (const extension of childrenOf(extensions, SEQUENCE, 'extensions')) {
      const parts = childrenOf(extension, SEQUENCE, 'extension');
      if (oidOf(parts[0], 'extension') === OID.subjectKeyId) {
        const wrapped = bytesOf(parts.at(-1), OCTET_STRING, 'subject key id');
        return [authorityKeyId(bytesOf(embedded(wrapped), OCTET_STRING, 'subject key id'))];
      }
    }
  }
  return [];
}
