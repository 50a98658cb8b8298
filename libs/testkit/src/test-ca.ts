/**
 * A CA for tests: makes identities as the real one does, valid for an hour of the wall clock unless told.
 */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';

import { buildCa, buildLeaf, type Issuer } from '@ambit/identity';

export interface TestIdentity {
  /** `spiffe://…` */
  readonly identity: string;
  readonly privateKeyPem: string;
  readonly chainPem: string;
  readonly rootsPem: string;
  readonly notAfterMs: number;
}

export interface IssueOptions {
  readonly notAfterMs?: number;
  readonly notBeforeMs?: number;
  /** Instead of the one URI of the identity. */
  readonly uris?: readonly string[];
}

const HOUR_MS = 3_600_000;

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

export class TestCa {
  readonly #issuer: Issuer;
  readonly rootPem: string;

  constructor(organization = 'test') {
    const privateKey = newKey();
    const now = Date.now();
    const ca = buildCa({
      privateKey,
      organization,
      validity: { notBeforeMs: now - 24 * HOUR_MS, notAfterMs: now + 24 * HOUR_MS },
    });
    this.#issuer = { certificate: ca.certificate, privateKey };
    this.rootPem = ca.pem;
  }

  /** `identity`: the whole SPIFFE id. */
  issue(identity: string, options: IssueOptions = {}): TestIdentity {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const now = Date.now();
    const notAfterMs = options.notAfterMs ?? now + HOUR_MS;
    const leaf = buildLeaf({
      issuer: this.#issuer,
      publicKey: pair.publicKey,
      names: (options.uris ?? [identity]).map((value) => ({ kind: 'uri', value })),
      validity: { notBeforeMs: options.notBeforeMs ?? now - HOUR_MS, notAfterMs },
    });
    return {
      identity,
      privateKeyPem: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      chainPem: leaf.pem,
      rootsPem: this.rootPem,
      notAfterMs,
    };
  }

  /** `sa` in namespace `ns` of `cluster.local`. */
  workload(ns: string, sa: string, options: IssueOptions = {}): TestIdentity {
    return this.issue(`spiffe://cluster.local/ns/${ns}/sa/${sa}`, options);
  }
}
