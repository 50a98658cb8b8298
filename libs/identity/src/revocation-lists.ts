/**
 * The lists of revocations of a mesh's CAs, and what they say about a chain.
 *
 * Rule: fail closed, but only below the CA that a list speaks for. A CA without a list revokes nobody. Where a CA has one, it must be
 * signed by that CA and not be out of date: otherwise nobody knows who is revoked, and nobody new below it is taken. A list is a CA's if the CA
 * has signed it, whatever issuer it names: names have several spellings, and key ids are what somebody wrote.
 */
import type { X509Certificate } from 'node:crypto';

import { Crl, signsLists, subjectKeyIdOf, subjectNameKey } from './crl.ts';
import { IdentityError, reasonOf } from './errors.ts';
import { decodePem } from './pem.ts';
import type { ChainLink, RevocationProblem, Revocations } from './revocation-status.ts';

/** What a ConfigMap can hold: some 20,000 entries, which a worker reads in 0.1 s. */
export const CRL_FILE_BYTES_MAX = 1024 * 1024;
/** How far ahead the clock of a CA may be, as for its certificates. */
const SKEW_MS = 120_000;
const DER_SEQUENCE = 0x30;

export interface CrlSummary {
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number | undefined;
  readonly revoked: number;
}

export class RevocationLists implements Revocations {
  /** As many as a PEM file may have blocks: each is asked of once for every CA. */
  readonly #lists: readonly Crl[];
  readonly #unusable: string | undefined;

  private constructor(lists: readonly Crl[], unusable?: string) {
    this.#lists = lists;
    this.#unusable = unusable;
  }

  /**
   * A file of lists, in PEM (any number) or one in DER. Undefined for an empty one: there is no list. Throws IDENTITY_CRL_INVALID,
   * IDENTITY_PEM_INVALID or IDENTITY_DER_INVALID; one bad list makes the file bad.
   */
  static parse(file: Uint8Array): RevocationLists | undefined {
    if (file.length > CRL_FILE_BYTES_MAX) {
      throw new IdentityError(
        'IDENTITY_CRL_INVALID',
        `revocation lists refused: longer than ${CRL_FILE_BYTES_MAX} bytes`,
      );
    }
    if (file[0] === DER_SEQUENCE) {
      return new RevocationLists([Crl.parse(file)]);
    }
    const text = Buffer.from(file.buffer, file.byteOffset, file.length).toString('latin1');
    if (text.trim() === '') {
      return undefined;
    }
    const ders = decodePem(text, { labels: ['X509 CRL'], bytesMax: CRL_FILE_BYTES_MAX });
    return new RevocationLists(ders.map((der) => Crl.parse(der)));
  }

  /** In the place of lists that are wanted and can not be read: nobody's status is known. */
  static unusable(reason: string): RevocationLists {
    return new RevocationLists([], reason);
  }

  get summaries(): readonly CrlSummary[] {
    return this.#lists.map(({ fields }) => ({
      thisUpdateMs: fields.thisUpdateMs,
      nextUpdateMs: fields.nextUpdateMs,
      revoked: fields.revoked.size,
    }));
  }

  /** How many are signed by none of these CAs. */
  strangersTo(authorities: readonly X509Certificate[]): number {
    return this.#lists.filter((list) => !authorities.some((ca) => list.isSignedBy(ca))).length;
  }

  problemOf(links: readonly ChainLink[], nowMs: number): RevocationProblem | undefined {
    if (this.#unusable !== undefined) {
      return { kind: 'revocation_unknown', reason: this.#unusable };
    }
    let unknown: RevocationProblem | undefined;
    for (const link of links) {
      const problem = this.#ofLink(link, nowMs);
      if (problem?.kind === 'revoked') {
        return problem;
      }
      unknown ??= problem;
    }
    return unknown;
  }

  #ofLink({ serial, issuer }: ChainLink, nowMs: number): RevocationProblem | undefined {
    const lists = this.#lists.filter((list) => list.isSignedBy(issuer));
    const isNamed = this.#lists.some((list) => isNamedAfter(list, issuer) !== false);
    if (lists.length === 0 && !isNamed) {
      return undefined;
    }
    const name = JSON.stringify(issuer.subject.replaceAll('\n', ', ').slice(0, 80));
    if (lists.some(({ fields }) => fields.revoked.has(serial))) {
      return { kind: 'revoked', reason: `CA ${name} has revoked serial ${serial}` };
    }
    if (signsLists(issuer) === undefined) {
      const reason = `the certificate of CA ${name} cannot be read`;
      return { kind: 'revocation_unknown', reason };
    }
    if (lists.length === 0) {
      const reason = `the revocation list of CA ${name} is not signed by it`;
      return { kind: 'revocation_unknown', reason };
    }
    if (!lists.some((list) => isCurrent(list, nowMs))) {
      const reason = `the revocation list of CA ${name} is out of date`;
      return { kind: 'revocation_unknown', reason };
    }
    return undefined;
  }
}

/**
 * A CA may have another of its name with another key, and a list that says which one it is of. Undefined: the CA's certificate cannot be
 * read.
 */
function isNamedAfter({ fields }: Crl, issuer: X509Certificate): boolean | undefined {
  const { authorityKeyId, issuerName } = fields;
  try {
    if (issuerName !== subjectNameKey(issuer)) {
      return false;
    }
    const own = authorityKeyId === undefined ? undefined : keyIdOf(issuer);
    return own === undefined || own === authorityKeyId;
  } catch (error) {
    if (error instanceof IdentityError) {
      return undefined;
    }
    throw error;
  }
}

const keyIds = new WeakMap<X509Certificate, string | undefined>();

function keyIdOf(issuer: X509Certificate): string | undefined {
  if (!keyIds.has(issuer)) {
    keyIds.set(issuer, subjectKeyIdOf(issuer));
  }
  return keyIds.get(issuer);
}

function isCurrent({ fields }: Crl, nowMs: number): boolean {
  const { thisUpdateMs, nextUpdateMs } = fields;
  return thisUpdateMs <= nowMs + SKEW_MS && (nextUpdateMs === undefined || nowMs < nextUpdateMs);
}

/** What a file of lists means to workers, who parse it themselves. Survives structured clone. */
export type RevocationState =
  | { readonly kind: 'none' }
  | { readonly kind: 'lists'; readonly file: Uint8Array }
  | { readonly kind: 'unusable'; readonly reason: string };

export function revocationsOf(state: RevocationState): RevocationLists | undefined {
  if (state.kind === 'none') {
    return undefined;
  }
  if (state.kind === 'unusable') {
    return RevocationLists.unusable(state.reason);
  }
  try {
    return RevocationLists.parse(state.file);
  } catch (error) {
    return RevocationLists.unusable(reasonOf(error));
  }
}
