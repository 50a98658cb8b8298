/**
 * Certificate signing requests (PKCS#10, RFC 2986): made for the agent, read from anyone.
 *
 * What a request says about names is kept for logs only. The CA stamps the identity that it
 * authorised, never the one that was asked for in the request.
 */
import { createPublicKey, generateKeyPair, type KeyObject, sign, verify } from 'node:crypto';
import { promisify } from 'node:util';

import {
  type Asn1,
  bits,
  bitsOf,
  bytesOf,
  childrenOf,
  context,
  contextChildren,
  contextText,
  decodeDer,
  encodeDer,
  INTEGER,
  integer,
  OCTET_STRING,
  oid,
  oidOf,
  SEQUENCE,
  SET,
  sequence,
  set,
} from './der.ts';
import { IdentityError, reasonOf } from './errors.ts';
import { OID } from './oids.ts';
import { decodePem, encodePem } from './pem.ts';
import { parseSpiffeId } from './spiffe.ts';
import { subjectAltNames } from './x509-extensions.ts';

/** An RSA-4096 request with some names is below 2 KiB. */
const CSR_BYTES_MAX = 16 * 1024;
const CSR_NAMES_MAX = 16;
const RSA_BITS = { min: 2048, max: 8192 } as const;
const CURVES: readonly string[] = ['prime256v1', 'secp384r1', 'secp521r1'];

/** Signature algorithms that a request may use, with the digest each implies. SHA-1 is not one. */
const DIGESTS: Readonly<Record<string, string>> = {
  [OID.ecdsaWithSha256]: 'sha256',
  [OID.ecdsaWithSha384]: 'sha384',
  [OID.ecdsaWithSha512]: 'sha512',
  [OID.sha256WithRsa]: 'sha256',
  [OID.sha384WithRsa]: 'sha384',
  [OID.sha512WithRsa]: 'sha512',
};

export interface CertificateRequest {
  readonly privateKey: KeyObject;
  readonly privateKeyPem: string;
  readonly csrPem: string;
}

export interface ParsedCsr {
  readonly publicKey: KeyObject;
  /** Subject alternative URIs, as asked for; not trusted. */
  readonly uris: readonly string[];
  /** Subject alternative names that are no URIs. */
  readonly otherNames: number;
  /** OIDs of whatever else is asked for. */
  readonly otherAttributes: readonly string[];
}

const generate = promisify(generateKeyPair);

/** A new P-256 key and a request for `identity`: no subject, one critical URI name. */
export async function createCertificateRequest(identity: string): Promise<CertificateRequest> {
  parseSpiffeId(identity);
  const { privateKey } = await generate('ec', { namedCurve: 'prime256v1' });
  const info = sequence(
    integer(Uint8Array.of(0)),
    sequence(),
    decodeDer(exportSpki(createPublicKey(privateKey)), { bytesMax: CSR_BYTES_MAX }),
    context(0, [
      sequence(
        oid(OID.extensionRequest),
        set(sequence(subjectAltNames([{ kind: 'uri', value: identity }], { critical: true }))),
      ),
    ]),
  );
  const signature = sign('sha256', encodeDer(info), privateKey);
  const der = encodeDer(sequence(info, sequence(oid(OID.ecdsaWithSha256)), bits(signature)));
  return {
    privateKey,
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    csrPem: encodePem('CERTIFICATE REQUEST', der),
  };
}

/** Reads PEM from anyone. Throws IDENTITY_CSR_INVALID; see `parseCsrDer`. */
export function parseCsrPem(pem: string): ParsedCsr {
  return refusing(() => {
    const [der, second] = decodePem(pem, {
      labels: ['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'],
    });
    if (der === undefined || second !== undefined) {
      throw new Error('more than one PEM block');
    }
    return parse(der);
  });
}

/** The signature must be the key's own, and the key EC P-256/384/521 or RSA of 2048 to 8192 bits. */
export function parseCsrDer(der: Uint8Array): ParsedCsr {
  return refusing(() => parse(der));
}

function parse(der: Uint8Array): ParsedCsr {
  const parts = childrenOf(decodeDer(der, { bytesMax: CSR_BYTES_MAX }), SEQUENCE, 'the request');
  const [info, algorithm, signature] = parts;
  const fields = childrenOf(info, SEQUENCE, 'the request info');
  const [version, subject, spki, attributes] = fields;
  if (info === undefined || spki === undefined || parts.length !== 3 || fields.length > 4) {
    throw new Error('wrong number of parts');
  }
  if (Buffer.from(bytesOf(version, INTEGER, 'version')).toString('hex') !== '00') {
    throw new Error('its version is not 1');
  }
  childrenOf(subject, SEQUENCE, 'subject');
  childrenOf(spki, SEQUENCE, 'public key');
  const publicKey = importKey(spki);
  const [algorithmOid] = childrenOf(algorithm, SEQUENCE, 'signature algorithm');
  const digest = DIGESTS[oidOf(algorithmOid, 'signature algorithm')];
  if (digest === undefined) {
    throw new Error('its signature algorithm is not one of ECDSA or RSA with SHA-2');
  }
  if (!verify(digest, encodeDer(info), publicKey, bitsOf(signature, 'signature'))) {
    throw new Error('its signature does not fit its key');
  }
  return { publicKey, ...askedFor(attributes) };
}

function importKey(spki: Asn1): KeyObject {
  const key = createPublicKey({ key: Buffer.from(encodeDer(spki)), format: 'der', type: 'spki' });
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const isEc = key.asymmetricKeyType === 'ec' && CURVES.includes(namedCurve ?? '');
  const isRsa =
    key.asymmetricKeyType === 'rsa' &&
    modulusLength >= RSA_BITS.min &&
    modulusLength <= RSA_BITS.max;
  if (!isEc && !isRsa) {
    throw new Error('its key is neither P-256, P-384, P-521 nor RSA of 2048 to 8192 bits');
  }
  return key;
}

function askedFor(attributes: Asn1 | undefined): Omit<ParsedCsr, 'publicKey'> {
  const uris: string[] = [];
  const otherAttributes: string[] = [];
  let otherNames = 0;
  for (const attribute of contextChildren(attributes, 0) ?? []) {
    const [type, values] = childrenOf(attribute, SEQUENCE, 'attribute');
    const attributeId = oidOf(type, 'attribute');
    if (attributeId !== OID.extensionRequest) {
      otherAttributes.push(attributeId);
      continue;
    }
    const [extensions] = childrenOf(values, SET, 'extension request');
    for (const extension of childrenOf(extensions, SEQUENCE, 'extensions')) {
      const parts = childrenOf(extension, SEQUENCE, 'extension');
      const id = oidOf(parts[0], 'extension');
      if (id === OID.subjectAltName) {
        const content = bytesOf(parts.at(-1), OCTET_STRING, 'subject alternative names');
        const names = generalNames(content);
        uris.push(...names.flatMap((name) => contextText(name, 6) ?? []));
        otherNames += names.filter((name) => contextText(name, 6) === undefined).length;
      } else {
        otherAttributes.push(id);
      }
    }
  }
  return { uris, otherNames, otherAttributes };
}

function generalNames(content: Uint8Array): readonly Asn1[] {
  const names = childrenOf(
    decodeDer(content, { bytesMax: CSR_BYTES_MAX }),
    SEQUENCE,
    'subject alternative names',
  );
  if (names.length > CSR_NAMES_MAX) {
    throw new Error(`more than ${CSR_NAMES_MAX} names`);
  }
  return names;
}

/** SubjectPublicKeyInfo as DER. */
export function exportSpki(key: KeyObject): Uint8Array {
  return key.export({ type: 'spki', format: 'der' });
}

function refusing<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new IdentityError(
      'IDENTITY_CSR_INVALID',
      `certificate request refused: ${reasonOf(cause)}`,
      { side: 'downstream', cause },
    );
  }
}
