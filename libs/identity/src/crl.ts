/**
 * One certificate revocation list (RFC 5280 §5), read from its DER.
 *
 * Rule: a list that does not speak for all certificates of its issuer is refused whole: a delta, a part, one for other issuers, or one with
 * a critical extension that is not known here. Whoever is named is revoked, whatever the date beside the name.
 */
import { verify, type X509Certificate } from 'node:crypto';

import { DerReader, type DerValue, integerText, oidText, TAG, timeOf } from './der-reader.ts';
import { IdentityError } from './errors.ts';
import { readExtensions, readLeaf } from './leaf.ts';
import { OID } from './oids.ts';

/** Signatures that a list may have, with the digest of each. */
const DIGESTS: ReadonlyMap<string, string> = new Map([
  [OID.ecdsaWithSha256, 'sha256'],
  [OID.ecdsaWithSha384, 'sha384'],
  [OID.ecdsaWithSha512, 'sha512'],
  [OID.sha256WithRsa, 'sha256'],
  [OID.sha384WithRsa, 'sha384'],
  [OID.sha512WithRsa, 'sha512'],
]);
/** What may be critical: it is read here, or changes nothing. */
const UNDERSTOOD: ReadonlySet<string> = new Set([OID.authorityKeyId, OID.crlNumber]);
/** A list with one of these is not whole. They have to be critical (§5.2.4, §5.2.5), and count if they are not. */
const PARTIAL = [OID.deltaCrlIndicator, OID.issuingDistributionPoint];
const EXPLICIT_EXTENSIONS = 0xa0;
const KEY_ID_TAG = 0x80;
const SUBJECT_FIELD = 4;

export interface CrlFields {
  /** DER of the issuer's name, as base64. */
  readonly issuerName: string;
  /** Hex; undefined: the list does not say. */
  readonly authorityKeyId: string | undefined;
  readonly thisUpdateMs: number;
  /** Undefined: it never ends. */
  readonly nextUpdateMs: number | undefined;
  /** Hex without leading zeros, lower case. */
  readonly revoked: ReadonlySet<string>;
}

export class Crl {
  readonly fields: CrlFields;
  readonly #signed: Uint8Array;
  readonly #digest: string;
  readonly #signature: Uint8Array;
  /** By fingerprint of the issuer. */
  readonly #verified = new Map<string, boolean>();

  private constructor(
    fields: CrlFields,
    signed: { readonly bytes: Uint8Array; readonly digest: string; readonly signature: Uint8Array },
  ) {
    this.fields = fields;
    this.#signed = signed.bytes;
    this.#digest = signed.digest;
    this.#signature = signed.signature;
  }

  /** Throws IDENTITY_CRL_INVALID or IDENTITY_DER_INVALID. */
  static parse(der: Uint8Array): Crl {
    const whole = new DerReader(der);
    const list = whole.inside(TAG.sequence);
    whole.end();
    const signed = list.next(TAG.sequence);
    const algorithm = list.next(TAG.sequence);
    const [unused, ...signature] = [list.next(TAG.bitString).content].flatMap((content) => [
      content.subarray(0, 1),
      content.subarray(1),
    ]);
    list.end();
    if (unused?.[0] !== 0 || signature[0] === undefined) {
      throw invalid('its signature does not end on a byte');
    }
    const digest = DIGESTS.get(oidText(new DerReader(algorithm.content).next(TAG.oid)));
    if (digest === undefined) {
      throw invalid('it is signed in a way that is not known here');
    }
    const fields = readFields(signed, algorithm);
    return new Crl(fields, { bytes: signed.bytes, digest, signature: signature[0] });
  }

  /**
   * By its signature, and by the use that the issuer's key is for, unless that cannot be read: whoever is on such a list is revoked all the
   * same. Cached: issuers are few.
   */
  isSignedBy(issuer: X509Certificate): boolean {
    const key = issuer.fingerprint256;
    let known = this.#verified.get(key);
    if (known === undefined) {
      known = signsLists(issuer) !== false && this.#verify(issuer);
      this.#verified.set(key, known);
    }
    return known;
  }

  #verify({ publicKey }: X509Certificate): boolean {
    try {
      return verify(this.#digest, this.#signed, publicKey, this.#signature);
    } catch {
      // A key of another kind than the signature.
      return false;
    }
  }
}

const names = new WeakMap<X509Certificate, string>();

/** As `CrlFields.issuerName` of the lists that it signs. */
export function subjectNameKey(certificate: X509Certificate): string {
  let name = names.get(certificate);
  if (name === undefined) {
    const fields = new DerReader(certificate.raw).inside(TAG.sequence).inside(TAG.sequence);
    fields.optional(EXPLICIT_EXTENSIONS);
    for (let n = 0; n < SUBJECT_FIELD; n += 1) {
      fields.next();
    }
    name = base64(fields.next(TAG.sequence).bytes);
    names.set(certificate, name);
  }
  return name;
}

/** Hex; undefined: it has none. */
export function subjectKeyIdOf(certificate: X509Certificate): string | undefined {
  const fields = new DerReader(certificate.raw).inside(TAG.sequence).inside(TAG.sequence);
  while (!fields.isAtEnd) {
    const { tag, content } = fields.next();
    if (tag === 0xa3) {
      const value = readExtensions(content).get(OID.subjectKeyId);
      return value === undefined
        ? undefined
        : hex(new DerReader(value).next(TAG.octetString).content);
    }
  }
  return undefined;
}

/** Undefined: its certificate cannot be read. */
export function signsLists(issuer: X509Certificate): boolean | undefined {
  try {
    const { keyUsage } = readLeaf(issuer.raw);
    return keyUsage === undefined || keyUsage.has('cRLSign');
  } catch (error) {
    if (error instanceof IdentityError) {
      return undefined;
    }
    throw error;
  }
}

function readFields({ content }: DerValue, algorithm: DerValue): CrlFields {
  const fields = new DerReader(content);
  const version = fields.optional(TAG.integer);
  if (version !== undefined && integerText(version) !== '1') {
    throw invalid('it is of an unknown version');
  }
  if (!Buffer.from(fields.next(TAG.sequence).bytes).equals(algorithm.bytes)) {
    throw invalid('it names two algorithms');
  }
  const issuerName = base64(fields.next(TAG.sequence).bytes);
  const thisUpdateMs = timeOf(fields.next());
  const hasEnd = fields.tag === TAG.utcTime || fields.tag === TAG.generalizedTime;
  const nextUpdateMs = hasEnd ? timeOf(fields.next()) : undefined;
  const revoked = new Set<string>();
  const entries = fields.optional(TAG.sequence);
  if (entries !== undefined) {
    readEntries(new DerReader(entries.content), revoked);
  }
  const extensions = fields.optional(EXPLICIT_EXTENSIONS);
  fields.end();
  const found =
    extensions === undefined ? undefined : readExtensions(extensions.content, requireUnderstood);
  const partial = PARTIAL.find((id) => found?.has(id));
  if (partial !== undefined) {
    throw invalid(`it has the extension ${partial}, so it does not speak for all of its issuer`);
  }
  const keyId = found?.get(OID.authorityKeyId);
  return {
    issuerName,
    authorityKeyId: keyId === undefined ? undefined : authorityKeyIdOf(keyId),
    thisUpdateMs,
    nextUpdateMs,
    revoked,
  };
}

function readEntries(entries: DerReader, revoked: Set<string>): void {
  while (!entries.isAtEnd) {
    const entry = entries.inside(TAG.sequence);
    revoked.add(integerText(entry.next(TAG.integer)));
    entry.next();
    const extensions = entry.optional(TAG.sequence);
    entry.end();
    if (extensions !== undefined) {
      readExtensions(extensions.bytes, requireUnderstood);
    }
  }
}

function requireUnderstood(id: string): void {
  if (!UNDERSTOOD.has(id)) {
    throw invalid(
      `it has the critical extension ${id}, so it does not speak for all of its issuer`,
    );
  }
}

function authorityKeyIdOf(value: Uint8Array): string | undefined {
  const id = new DerReader(value).inside(TAG.sequence).optional(KEY_ID_TAG);
  return id === undefined ? undefined : hex(id.content);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

function invalid(why: string): IdentityError {
  return new IdentityError('IDENTITY_CRL_INVALID', `revocation list refused: ${why}`);
}
