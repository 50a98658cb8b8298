/**
 * PEM text, strictly: blocks of one label, base64 between, nothing but white space outside them.
 *
 * Certificates and requests come from peers, so everything has a bound before anything is decoded.
 */
import { X509Certificate } from 'node:crypto';

import { IdentityError, reasonOf } from './errors.ts';

/** A CSR with an RSA-4096 key is 1.7 KiB; a bundle of some roots 20 KiB. */
export const PEM_BYTES_MAX = 256 * 1024;
export const PEM_BLOCKS_MAX = 64;

const BLOCK =
  /^-----BEGIN ([A-Z0-9 ]{1,40})-----\r?\n([A-Za-z0-9+/=\r\n]+?)-----END \1-----[ \t]*(?:\r?\n|$)/;

/** The DER of every block. Throws IDENTITY_PEM_INVALID on any other label, on text outside blocks, on none. */
export function decodePem(
  text: string,
  {
    labels,
    bytesMax = PEM_BYTES_MAX,
  }: { readonly labels: readonly string[]; readonly bytesMax?: number },
): Uint8Array[] {
  if (text.length > bytesMax) {
    throw invalid(`longer than ${bytesMax} bytes`);
  }
  const blocks: Uint8Array[] = [];
  let rest = text.trimStart();
  while (rest !== '') {
    const [whole, label = '', body = ''] = BLOCK.exec(rest) ?? [];
    if (whole === undefined) {
      throw invalid('text that is not a PEM block');
    }
    if (!labels.includes(label)) {
      throw invalid(`a block ${label} where ${labels.join(' or ')} is wanted`);
    }
    blocks.push(decodeBody(body));
    if (blocks.length > PEM_BLOCKS_MAX) {
      throw invalid(`more than ${PEM_BLOCKS_MAX} blocks`);
    }
    rest = rest.slice(whole.length).trimStart();
  }
  if (blocks.length === 0) {
    throw invalid('no PEM block');
  }
  return blocks;
}

/** Lines of 64 characters, ends with a newline. */
export function encodePem(label: string, der: Uint8Array): string {
  const body = Buffer.from(der)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
}

/** Every certificate of a bundle, in order. Throws IDENTITY_PEM_INVALID. */
export function parseCertificates(pem: string): X509Certificate[] {
  return decodePem(pem, { labels: ['CERTIFICATE'] }).map((der) => parseCertificate(der));
}

export function parseCertificate(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (cause) {
    throw invalid(`not a certificate: ${reasonOf(cause)}`, cause);
  }
}

function decodeBody(body: string): Uint8Array {
  const compact = body.replaceAll(/[\r\n]/g, '');
  const der = Buffer.from(compact, 'base64');
  if (der.toString('base64') !== compact) {
    throw invalid('bad base64');
  }
  return der;
}

function invalid(why: string, cause?: unknown): IdentityError {
  return new IdentityError('IDENTITY_PEM_INVALID', `PEM refused: ${why}`, {
    side: 'downstream',
    cause,
  });
}
