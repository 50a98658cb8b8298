/** Certificates as admin pages show them: the keys of the reference's config_dump. */
import type { X509Certificate } from 'node:crypto';

import { parseCertificates } from './pem.ts';

export interface CertificateEntry {
  /** Base64 of the PEM text. */
  readonly pem: string;
  /** Decimal. */
  readonly serialNumber: string;
  /** RFC 3339, whole seconds. */
  readonly validFrom: string;
  readonly expirationTime: string;
}

export interface CertificateDump {
  readonly identity: string;
  /** `Available`, `Initializing` or `Unavailable: REASON`. */
  readonly state: string;
  readonly certChain: readonly CertificateEntry[];
  readonly rootCerts: readonly CertificateEntry[];
}

/** Takes PEM text or parsed certificates. Throws IDENTITY_PEM_INVALID. */
export function describeCertificates(
  source: string | readonly X509Certificate[],
): CertificateEntry[] {
  const certificates = typeof source === 'string' ? parseCertificates(source) : source;
  return certificates.map((certificate) => ({
    pem: Buffer.from(certificate.toString()).toString('base64'),
    serialNumber: BigInt(`0x${certificate.serialNumber}`).toString(),
    validFrom: rfc3339(certificate.validFromDate),
    expirationTime: rfc3339(certificate.validToDate),
  }));
}

function rfc3339(date: Date): string {
  return date.toISOString().replace(/\.\d{3}Z$/, 'Z');
}
