/** X.509 extensions (RFC 5280 §4.2), each as the ASN.1 that goes into a certificate or request. */
import {
  type Asn1,
  bits,
  bool,
  context,
  encodeDer,
  integer,
  octets,
  oid,
  sequence,
} from './der.ts';
import { IdentityError } from './errors.ts';
import { OID } from './oids.ts';

export type GeneralName =
  | { readonly kind: 'uri'; readonly value: string }
  | { readonly kind: 'dns'; readonly value: string }
  /** 4 or 16 bytes. */
  | { readonly kind: 'ip'; readonly value: Uint8Array };

export interface Criticality {
  readonly critical: boolean;
}

export function subjectAltNames(names: readonly GeneralName[], { critical }: Criticality): Asn1 {
  return extension(OID.subjectAltName, sequence(...names.map(generalName)), { critical });
}

/** `pathLength` only with `isCa`. */
export function basicConstraints(options: {
  readonly isCa: boolean;
  readonly pathLength?: number;
}): Asn1 {
  const path = options.pathLength === undefined ? [] : [integer(Uint8Array.of(options.pathLength))];
  const content = options.isCa ? sequence(bool(true), ...path) : sequence();
  return extension(OID.basicConstraints, content, { critical: true });
}

/** digitalSignature and keyEncipherment for a leaf, keyCertSign and cRLSign for a CA. */
export function keyUsage({ isCa }: { readonly isCa: boolean }): Asn1 {
  const content = isCa ? bits(Uint8Array.of(0b0000_0110), 1) : bits(Uint8Array.of(0b1010_0000), 5);
  return extension(OID.keyUsage, content, { critical: true });
}

export function clientAndServerUsage(): Asn1 {
  return extension(OID.extKeyUsage, sequence(oid(OID.serverAuth), oid(OID.clientAuth)), {
    critical: false,
  });
}

export function subjectKeyId(id: Uint8Array): Asn1 {
  return extension(OID.subjectKeyId, octets(id), { critical: false });
}

export function authorityKeyId(id: Uint8Array): Asn1 {
  return extension(OID.authorityKeyId, sequence(context(0, id)), { critical: false });
}

export function extension(id: string, content: Asn1, { critical }: Criticality): Asn1 {
  return sequence(oid(id), ...(critical ? [bool(true)] : []), octets(encodeDer(content)));
}

function generalName(name: GeneralName): Asn1 {
  switch (name.kind) {
    case 'uri':
      return context(6, ascii(name.value));
    case 'dns':
      return context(2, ascii(name.value));
    case 'ip':
      return context(7, name.value);
  }
}

/** IA5String: 7 bits. Anything else would be read as another name by someone. */
function ascii(text: string): Uint8Array {
  if (!/^[\x21-\x7e]{1,2048}$/.test(text)) {
    throw new IdentityError('IDENTITY_DER_INVALID', 'a name must be printable ASCII');
  }
  return Buffer.from(text, 'latin1');
}
