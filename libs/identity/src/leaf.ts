/**
 * What a leaf certificate says of its holder: names and uses, from its DER (RFC 5280 §4.2).
 *
 * Rule: a name is the bytes that were signed. No text that somebody else made of them is split here, so a NUL, a comma or a quote in
 * one name can not become the end of it or the start of another.
 */
import { booleanOf, DerReader, oidText, TAG } from './der-reader.ts';
import { IdentityError } from './errors.ts';
import { OID } from './oids.ts';

/** Leaves of the mesh have 500 bytes. */
const LEAF_BYTES_MAX = 16 * 1024;
const EXTENSIONS_MAX = 32;
const NAMES_MAX = 32;

export interface LeafFacts {
  /** URI names, a character a byte. */
  readonly uris: readonly string[];
  /** Kinds of the names that are no URIs, each once. */
  readonly otherNames: readonly string[];
  readonly isCa: boolean;
  /** Names of RFC 5280 §4.2.1.3; undefined: the extension is absent. */
  readonly keyUsage: ReadonlySet<KeyUsage> | undefined;
  /** Object identifiers; undefined: the extension is absent. */
  readonly extendedUsage: ReadonlySet<string> | undefined;
}

/** In the order of their bits. */
const KEY_USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;
export type KeyUsage = (typeof KEY_USAGES)[number];

/** By the number of their tag (RFC 5280 §4.2.1.6). */
const NAME_KINDS = [
  'otherName',
  'rfc822Name',
  'dNSName',
  'x400Address',
  'directoryName',
  'ediPartyName',
  'uniformResourceIdentifier',
  'iPAddress',
  'registeredID',
] as const;
const URI_TAG = 0x86;

/** Throws IDENTITY_DER_INVALID. */
export function readLeaf(der: Uint8Array): LeafFacts {
  if (der.length > LEAF_BYTES_MAX) {
    throw invalid(`a certificate longer than ${LEAF_BYTES_MAX} bytes`);
  }
  const extensions = extensionsOf(der);
  const names = extensions.get(OID.subjectAltName);
  const usage = extensions.get(OID.keyUsage);
  const extended = extensions.get(OID.extKeyUsage);
  const constraints = extensions.get(OID.basicConstraints);
  return {
    ...(names === undefined ? { uris: [], otherNames: [] } : namesOf(names)),
    isCa: constraints !== undefined && isCaOf(constraints),
    keyUsage: usage === undefined ? undefined : keyUsageOf(usage),
    extendedUsage: extended === undefined ? undefined : extendedUsageOf(extended),
  };
}

/** Their values by object identifier. One that comes twice is refused (§4.2). */
function extensionsOf(der: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const whole = new DerReader(der);
  const certificate = whole.inside(TAG.sequence);
  whole.end();
  const fields = certificate.inside(TAG.sequence);
  certificate.next(TAG.sequence);
  certificate.next(TAG.bitString);
  certificate.end();
  fields.optional(0xa0);
  fields.next(TAG.integer);
  // Signature, issuer, validity, subject, public key.
  for (let n = 0; n < 5; n += 1) {
    fields.next(TAG.sequence);
  }
  fields.optional(0x81);
  fields.optional(0x82);
  const tagged = fields.optional(0xa3);
  fields.end();
  return tagged === undefined ? new Map() : readExtensions(tagged.content);
}

/** Of the value under the tag of `extensions`, with `onCritical` told of each that is critical. */
export function readExtensions(
  content: Uint8Array,
  onCritical: (id: string) => void = () => undefined,
): ReadonlyMap<string, Uint8Array> {
  const outer = new DerReader(content);
  const list = outer.inside(TAG.sequence);
  outer.end();
  const found = new Map<string, Uint8Array>();
  while (!list.isAtEnd) {
    const extension = list.inside(TAG.sequence);
    const id = oidText(extension.next(TAG.oid));
    const critical = extension.optional(TAG.boolean);
    if (critical !== undefined && !booleanOf(critical)) {
      throw invalid('a default that is written out');
    }
    if (critical !== undefined) {
      onCritical(id);
    }
    const value = extension.next(TAG.octetString).content;
    extension.end();
    if (found.has(id)) {
      throw invalid(`extension ${id} twice`);
    }
    found.set(id, value);
    if (found.size > EXTENSIONS_MAX) {
      throw invalid(`more than ${EXTENSIONS_MAX} extensions`);
    }
  }
  return found;
}

function namesOf(value: Uint8Array): Pick<LeafFacts, 'uris' | 'otherNames'> {
  const outer = new DerReader(value);
  const list = outer.inside(TAG.sequence);
  outer.end();
  const uris: string[] = [];
  const otherNames = new Set<string>();
  let count = 0;
  while (!list.isAtEnd) {
    const { tag, content } = list.next();
    count += 1;
    if (count > NAMES_MAX) {
      throw invalid(`more than ${NAMES_MAX} names`);
    }
    if (tag === URI_TAG) {
      uris.push(Buffer.from(content).toString('latin1'));
    } else {
      otherNames.add((tag & 0xc0) === 0x80 ? (NAME_KINDS[tag & 0x1f] ?? 'unknown') : 'unknown');
    }
  }
  return { uris, otherNames: [...otherNames] };
}

function isCaOf(value: Uint8Array): boolean {
  const outer = new DerReader(value);
  const fields = outer.inside(TAG.sequence);
  outer.end();
  const isCa = fields.optional(TAG.boolean);
  fields.optional(TAG.integer);
  fields.end();
  return isCa !== undefined && booleanOf(isCa);
}

function keyUsageOf(value: Uint8Array): ReadonlySet<KeyUsage> {
  const outer = new DerReader(value);
  const [unused = 0, ...bytes] = outer.next(TAG.bitString).content;
  outer.end();
  if (unused > 7 || bytes.length > 2) {
    throw invalid('a key usage that is too long');
  }
  return new Set(
    KEY_USAGES.filter((_, bit) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0),
  );
}

function extendedUsageOf(value: Uint8Array): ReadonlySet<string> {
  const outer = new DerReader(value);
  const list = outer.inside(TAG.sequence);
  outer.end();
  const found = new Set<string>();
  while (!list.isAtEnd) {
    found.add(oidText(list.next(TAG.oid)));
  }
  return found;
}

function invalid(why: string): IdentityError {
  return new IdentityError('IDENTITY_DER_INVALID', `certificate refused: ${why}`, {
    side: 'downstream',
  });
}
