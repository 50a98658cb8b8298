/** A leaf with any names, uses and constraints, signed as the right ones are: for tests of those who must refuse it. */
import type { KeyObject } from 'node:crypto';

import { type Asn1, bits, context, oid, sequence } from '../der.ts';
import { OID } from '../oids.ts';
import {
  type BuiltCertificate,
  build,
  type Issuer,
  subjectNameOf,
  type Validity,
} from '../x509.ts';
import { basicConstraints, extension } from '../x509-extensions.ts';

/** A general name by the number of its tag; a character a byte. */
export interface OddName {
  readonly tag: number;
  readonly value: string;
}

export interface OddLeafOptions {
  readonly issuer: Issuer;
  readonly publicKey: KeyObject;
  readonly validity: Validity;
  /** Empty: the extension is absent. */
  readonly names: readonly OddName[];
  /** The first byte of the bit string; undefined: absent. 0x80: digitalSignature. */
  readonly keyUsage: number | undefined;
  /** Object identifiers; undefined: absent. */
  readonly extendedUsage: readonly string[] | undefined;
  readonly isCa: boolean;
  /** Extensions beside, or twice. */
  readonly more?: readonly Asn1[];
}

export function buildOddLeaf(options: OddLeafOptions): BuiltCertificate {
  const { issuer, publicKey, validity } = options;
  return build({
    subject: sequence(),
    issuerName: subjectNameOf(issuer.certificate),
    signer: issuer.privateKey,
    publicKey,
    validity,
    extensions: [...extensionsOf(options), ...(options.more ?? [])],
  });
}

function extensionsOf({ names, keyUsage, extendedUsage, isCa }: OddLeafOptions): Asn1[] {
  const found: Asn1[] = [basicConstraints({ isCa })];
  if (keyUsage !== undefined) {
    found.push(extension(OID.keyUsage, bits(Uint8Array.of(keyUsage)), { critical: true }));
  }
  if (extendedUsage !== undefined) {
    found.push(
      extension(OID.extKeyUsage, sequence(...extendedUsage.map(oid)), { critical: false }),
    );
  }
  if (names.length > 0) {
    const list = names.map(({ tag, value }) => context(tag, Buffer.from(value, 'latin1')));
    found.push(extension(OID.subjectAltName, sequence(...list), { critical: true }));
  }
  return found;
}
