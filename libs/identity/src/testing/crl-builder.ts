/** A revocation list, signed as real ones are. */
import { sign } from 'node:crypto';

import { type Asn1, bits, context, encodeDer, integer, sequence, time } from '../der.ts';
import { OID } from '../oids.ts';
import { encodePem } from '../pem.ts';
import { type Issuer, signatureOf, subjectNameOf } from '../x509.ts';
import { authorityKeyId, extension } from '../x509-extensions.ts';

export interface CrlOptions {
  readonly issuer: Issuer;
  readonly thisUpdateMs: number;
  /** Undefined: it never ends. */
  readonly nextUpdateMs: number | undefined;
  /** Serial numbers, hex. */
  readonly revoked: readonly string[];
  readonly keyId?: Uint8Array;
  /** Object identifiers of critical extensions, of the list or of its entries. */
  readonly critical?: { readonly list?: string; readonly entry?: string };
  /** Object identifier of an extension of the list that is not critical. */
  readonly inPassing?: string;
}

/** PEM. */
export function buildCrl(options: CrlOptions): string {
  const { issuer, thisUpdateMs, nextUpdateMs } = options;
  const { algorithm, digest } = signatureOf(issuer.privateKey);
  const entries = options.revoked.map((serial) =>
    sequence(integer(serialBytes(serial)), time(thisUpdateMs), ...entryExtensions(options)),
  );
  const tbs = sequence(
    integer(Uint8Array.of(1)),
    algorithm,
    subjectNameOf(issuer.certificate),
    time(thisUpdateMs),
    ...(nextUpdateMs === undefined ? [] : [time(nextUpdateMs)]),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    context(0, [sequence(...listExtensions(options))]),
  );
  const signature = sign(digest, encodeDer(tbs), issuer.privateKey);
  return encodePem('X509 CRL', encodeDer(sequence(tbs, algorithm, bits(signature))));
}

function listExtensions({ keyId, critical, inPassing }: CrlOptions): Asn1[] {
  const number = extension(OID.crlNumber, integer(Uint8Array.of(1)), { critical: false });
  return [
    number,
    ...(keyId === undefined ? [] : [authorityKeyId(keyId)]),
    ...odd(critical?.list),
    ...odd(inPassing, false),
  ];
}

function entryExtensions({ critical }: CrlOptions): Asn1[] {
  return critical?.entry === undefined ? [] : [sequence(...odd(critical.entry))];
}

function odd(id: string | undefined, critical = true): Asn1[] {
  return id === undefined ? [] : [extension(id, integer(Uint8Array.of(0)), { critical })];
}

/** Positive, in its shortest form. */
function serialBytes(serial: string): Uint8Array {
  const bytes = Buffer.from(serial.padStart(serial.length + (serial.length % 2), '0'), 'hex');
  return (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes;
}
