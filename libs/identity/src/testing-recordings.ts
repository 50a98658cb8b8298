/** Recordings of the reference CA, for the tests of this package. */
import { readFileSync } from 'node:fs';

export interface RecordedCreate {
  readonly name: string;
  readonly identity: string;
  readonly csrPem: string;
  readonly csrDerBase64: string;
  readonly certChain: readonly string[];
}

export interface RecordedRequest {
  readonly name: string;
  readonly status: string;
  readonly message: string;
  readonly csrPem: string;
  readonly requestedIdentity: string | null;
  readonly ttlSeconds: number;
  readonly certChain: readonly string[] | null;
}

export const recordings = JSON.parse(
  readFileSync(new URL('../fixtures/recorded-certificates.json', import.meta.url), 'utf8'),
) as { readonly creates: readonly RecordedCreate[]; readonly requests: readonly RecordedRequest[] };
