/**
 * DER by node-forge's ASN.1, typed and strict: what is read must be the one encoding of its value.
 *
 * node-forge works on binary strings; they do not leave this file. Keys and signatures are never its
 * business, they are node:crypto's.
 */
import forge from 'node-forge';

import { IdentityError, reasonOf } from './errors.ts';

export type Asn1 = forge.asn1.Asn1;

const { asn1, util } = forge;
const { Class, Type } = asn1;

interface FromDerOptions {
  readonly strict: boolean;
  readonly parseAllBytes: boolean;
  readonly decodeBitStrings: boolean;
  readonly maxDepth: number;
}

/** Its types know only a boolean; with bit strings decoded their bytes would be lost. */
const fromDer = asn1.fromDer as unknown as (bytes: string, options: FromDerOptions) => Asn1;

/** A certificate request nests nine deep. */
const DEPTH_MAX = 24;

/** Throws IDENTITY_DER_INVALID for anything that is not exactly one canonical value. */
export function decodeDer(der: Uint8Array, { bytesMax }: { readonly bytesMax: number }): Asn1 {
  if (der.length > bytesMax) {
    throw invalid(`longer than ${bytesMax} bytes`);
  }
  try {
    const value = fromDer(toBinary(der), {
      strict: true,
      parseAllBytes: true,
      decodeBitStrings: false,
      maxDepth: DEPTH_MAX,
    });
    // A signature covers bytes. If ours differ from those we were given, we verified something else.
    if (!Buffer.from(encodeDer(value)).equals(der)) {
      throw invalid('it is not canonical');
    }
    return value;
  } catch (cause) {
    throw cause instanceof IdentityError ? cause : invalid(reasonOf(cause), cause);
  }
}

export function encodeDer(value: Asn1): Uint8Array {
  return Buffer.from(asn1.toDer(value).getBytes(), 'latin1');
}

/** Children of a constructed value of this tag, or a refusal. `what` names it in the message. */
export function childrenOf(value: Asn1 | undefined, type: number, what: string): readonly Asn1[] {
  if (value?.tagClass !== Class.UNIVERSAL || value.type !== type || !Array.isArray(value.value)) {
    throw invalid(`${what} is missing or of another type`);
  }
  return value.value;
}

/** Children of `[number]` in context class, or undefined when it is another value. */
export function contextChildren(
  value: Asn1 | undefined,
  number: number,
): readonly Asn1[] | undefined {
  const isIt = value?.tagClass === Class.CONTEXT_SPECIFIC && Number(value.type) === number;
  return isIt && Array.isArray(value.value) ? value.value : undefined;
}

/** Content of a primitive value of this tag. */
export function bytesOf(value: Asn1 | undefined, type: number, what: string): Uint8Array {
  if (value?.tagClass !== Class.UNIVERSAL || value.type !== type || Array.isArray(value.value)) {
    throw invalid(`${what} is missing or of another type`);
  }
  return fromBinary(value.value);
}

/** Bits of a BIT STRING that ends on a byte. */
export function bitsOf(value: Asn1 | undefined, what: string): Uint8Array {
  const content = bytesOf(value, Type.BITSTRING, what);
  if (content[0] !== 0) {
    throw invalid(`${what} does not end on a byte`);
  }
  return content.subarray(1);
}

export function oidOf(value: Asn1 | undefined, what: string): string {
  const content = bytesOf(value, Type.OID, what);
  if (content.length === 0) {
    throw invalid(`${what} is empty`);
  }
  return asn1.derToOid(toBinary(content));
}

/** Text of a context-tagged primitive, e.g. a general name. */
export function contextText(value: Asn1, number: number): string | undefined {
  const isIt = value.tagClass === Class.CONTEXT_SPECIFIC && Number(value.type) === number;
  return isIt && typeof value.value === 'string' ? value.value : undefined;
}

export const SEQUENCE = Type.SEQUENCE;
export const SET = Type.SET;
export const INTEGER = Type.INTEGER;
export const OCTET_STRING = Type.OCTETSTRING;

export const sequence = (...items: Asn1[]): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, items);
export const set = (...items: Asn1[]): Asn1 => asn1.create(Class.UNIVERSAL, Type.SET, true, items);
export const oid = (text: string): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.OID, false, asn1.oidToDer(text).getBytes());
export const nothing = (): Asn1 => asn1.create(Class.UNIVERSAL, Type.NULL, false, '');
export const bool = (value: boolean): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.BOOLEAN, false, value ? '\xff' : '\x00');
/** Big-endian two's complement, as given. */
export const integer = (content: Uint8Array): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.INTEGER, false, toBinary(content));
export const octets = (content: Uint8Array): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.OCTETSTRING, false, toBinary(content));
/** `unusedBits` of the last byte. */
export const bits = (content: Uint8Array, unusedBits = 0): Asn1 =>
  asn1.create(
    Class.UNIVERSAL,
    Type.BITSTRING,
    false,
    String.fromCharCode(unusedBits) + toBinary(content),
  );
export const utf8 = (text: string): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.UTF8, false, util.encodeUtf8(text));
export const context = (number: number, content: Uint8Array | readonly Asn1[]): Asn1 =>
  asn1.create(
    Class.CONTEXT_SPECIFIC,
    number,
    !(content instanceof Uint8Array),
    content instanceof Uint8Array ? toBinary(content) : [...content],
  );

/** UTCTime to 2049, GeneralizedTime after (RFC 5280 §4.1.2.5). Whole seconds. */
export function time(ms: number): Asn1 {
  const date = new Date(ms);
  return date.getUTCFullYear() < 2050
    ? asn1.create(Class.UNIVERSAL, Type.UTCTIME, false, asn1.dateToUtcTime(date))
    : asn1.create(Class.UNIVERSAL, Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date));
}

/** A value that is already encoded by us or by node:crypto. */
export function embedded(der: Uint8Array): Asn1 {
  return decodeDer(der, { bytesMax: der.length });
}

function toBinary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function fromBinary(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

function invalid(why: string, cause?: unknown): IdentityError {
  return new IdentityError('IDENTITY_DER_INVALID', `DER refused: ${why}`, {
    side: 'downstream',
    cause,
  });
}
