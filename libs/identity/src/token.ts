/**
 * Pod-bound tokens: who is calling the control plane.
 *
 * A token is believed when a key of the JWKS file signed it, it is for us, it has not expired, and all
 * that it says of the pod is there and agrees. One answer for everything else: IDENTITY_TOKEN_INVALID.
 */
import { readFile, stat } from 'node:fs/promises';

import type { Clock } from '@ambit/core';
import {
  createLocalJWKSet,
  exportJWK,
  exportPKCS8,
  generateKeyPair,
  importPKCS8,
  type JSONWebKeySet,
  type JWK,
  type JWTPayload,
  jwtVerify,
  SignJWT,
} from 'jose';

import { IdentityError, reasonOf } from './errors.ts';
import { parseSpiffeId } from './spiffe.ts';

/** The audience that the reference's agents ask for. */
export const TOKEN_AUDIENCE = 'istio-ca';
const TOKEN_LENGTH_MAX = 16 * 1024;
const JWKS_BYTES_MAX = 256 * 1024;
const KEYS_MAX = 64;
const CLOCK_TOLERANCE_SECONDS = 60;

export interface TokenCaller {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: { readonly name: string; readonly uid: string };
  /** Empty when the token does not say (Kubernetes before 1.30). */
  readonly node: string;
  readonly expiresAtMs: number;
}

export interface TokenVerifier {
  /**
   * Throws IDENTITY_TOKEN_INVALID; while nobody can say whether the token is good
   * IDENTITY_TOKEN_KEYS_UNAVAILABLE or IDENTITY_TOKEN_REVIEW_UNAVAILABLE.
   * `from`: the caller's address, so that one who has no good token holds up only itself.
   */
  verify(token: string, from?: string): Promise<TokenCaller>;
}

/** Verifies against a JWKS file that is read again whenever it changes. */
export class JwksTokenVerifier implements TokenVerifier {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #audience: string;
  #stamp = '';
  #keys: ReturnType<typeof createLocalJWKSet> | undefined;

  constructor(options: {
    readonly path: string;
    readonly clock: Clock;
    readonly audience?: string;
  }) {
    this.#path = options.path;
    this.#clock = options.clock;
    this.#audience = options.audience ?? TOKEN_AUDIENCE;
  }

  async verify(token: string): Promise<TokenCaller> {
    const keys = await this.#currentKeys();
    return await verifyToken(token, { keys, clock: this.#clock, audience: this.#audience });
  }

  /** Keys that were good stay in use when the file is briefly missing or broken. */
  async #currentKeys(): Promise<ReturnType<typeof createLocalJWKSet>> {
    try {
      const { mtimeMs, size, ino } = await stat(this.#path);
      const stamp = `${mtimeMs}/${size}/${ino}`;
      if (stamp !== this.#stamp) {
        this.#keys = parseJwks(await readFile(this.#path, 'utf8'));
        this.#stamp = stamp;
      }
    } catch (cause) {
      if (this.#keys === undefined) {
        throw new IdentityError(
          'IDENTITY_TOKEN_KEYS_UNAVAILABLE',
          `no keys to verify tokens with: ${reasonOf(cause)}`,
          { cause, retryable: true },
        );
      }
    }
    if (this.#keys === undefined) {
      throw new IdentityError('IDENTITY_TOKEN_KEYS_UNAVAILABLE', 'no keys to verify tokens with');
    }
    return this.#keys;
  }
}

/**
 * Mints the tokens that kube-apiserver would mint, and verifies them: for the lab and for tests.
 * Its key is ES256.
 */
export class PodTokenIssuer implements TokenVerifier {
  readonly privateKeyPem: string;
  readonly #key: CryptoKey;
  readonly #publicJwk: JWK;
  readonly #clock: Clock;

  private constructor(options: {
    readonly privateKeyPem: string;
    readonly key: CryptoKey;
    readonly publicJwk: JWK;
    readonly clock: Clock;
  }) {
    this.privateKeyPem = options.privateKeyPem;
    this.#key = options.key;
    this.#publicJwk = options.publicJwk;
    this.#clock = options.clock;
  }

  /** `privateKeyPem`: PKCS#8 of a P-256 key from an earlier run; absent: a new key. */
  static async create(options: {
    readonly clock: Clock;
    readonly privateKeyPem?: string;
  }): Promise<PodTokenIssuer> {
    const pem =
      options.privateKeyPem ??
      (await exportPKCS8((await generateKeyPair('ES256', { extractable: true })).privateKey));
    const key = await importPKCS8(pem, 'ES256', { extractable: true });
    const { d: _private, ...publicPart } = await exportJWK(key);
    const publicJwk = { ...publicPart, kid: 'ambit', alg: 'ES256', use: 'sig' };
    return new PodTokenIssuer({ privateKeyPem: pem, key, publicJwk, clock: options.clock });
  }

  jwks(): JSONWebKeySet {
    return { keys: [this.#publicJwk] };
  }

  async mint(request: {
    readonly namespace: string;
    readonly serviceAccount: string;
    readonly pod: { readonly name: string; readonly uid: string };
    readonly node: string;
    readonly ttlSeconds: number;
    readonly audience?: string;
  }): Promise<string> {
    const { namespace, serviceAccount, pod, node } = request;
    const nowSeconds = Math.floor(this.#clock.wallNow() / 1000);
    return await new SignJWT({
      'kubernetes.io': {
        namespace,
        serviceaccount: { name: serviceAccount },
        pod,
        node: { name: node },
      },
    })
      .setProtectedHeader({ alg: 'ES256', kid: 'ambit' })
      .setSubject(`system:serviceaccount:${namespace}:${serviceAccount}`)
      .setAudience([request.audience ?? TOKEN_AUDIENCE])
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + request.ttlSeconds)
      .sign(this.#key);
  }

  async verify(token: string): Promise<TokenCaller> {
    const keys = createLocalJWKSet(this.jwks());
    return await verifyToken(token, { keys, clock: this.#clock, audience: TOKEN_AUDIENCE });
  }
}

interface VerifyOptions {
  readonly keys: ReturnType<typeof createLocalJWKSet>;
  readonly clock: Clock;
  readonly audience: string;
}

async function verifyToken(token: string, options: VerifyOptions): Promise<TokenCaller> {
  try {
    if (token.length > TOKEN_LENGTH_MAX) {
      throw new Error(`longer than ${TOKEN_LENGTH_MAX} characters`);
    }
    const { payload } = await jwtVerify(token, options.keys, {
      audience: options.audience,
      algorithms: ['ES256', 'RS256'],
      requiredClaims: ['exp', 'sub'],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: new Date(options.clock.wallNow()),
    });
    return callerOf(payload);
  } catch (cause) {
    throw new IdentityError('IDENTITY_TOKEN_INVALID', `token refused: ${reasonOf(cause)}`, {
      side: 'downstream',
      cause,
    });
  }
}

function callerOf(payload: JWTPayload): TokenCaller {
  const claims = record(payload['kubernetes.io'], 'kubernetes.io');
  const pod = record(claims['pod'], 'kubernetes.io.pod');
  const namespace = text(claims['namespace'], 'namespace');
  const serviceAccount = text(
    record(claims['serviceaccount'], 'kubernetes.io.serviceaccount')['name'],
    'serviceaccount.name',
  );
  if (payload.sub !== `system:serviceaccount:${namespace}:${serviceAccount}`) {
    throw new Error('its subject and its claims name different accounts');
  }
  // The names become part of a SPIFFE id, so they must be able to.
  parseSpiffeId(`spiffe://td/ns/${namespace}/sa/${serviceAccount}`);
  return {
    namespace,
    serviceAccount,
    pod: { name: text(pod['name'], 'pod.name'), uid: text(pod['uid'], 'pod.uid') },
    node:
      claims['node'] === undefined ? '' : text(record(claims['node'], 'node')['name'], 'node.name'),
    expiresAtMs: (payload.exp ?? 0) * 1000,
  };
}

function parseJwks(content: string): ReturnType<typeof createLocalJWKSet> {
  if (content.length > JWKS_BYTES_MAX) {
    throw new Error(`the JWKS file is longer than ${JWKS_BYTES_MAX} bytes`);
  }
  const parsed: unknown = JSON.parse(content);
  const keys = record(parsed, 'JWKS')['keys'];
  if (!Array.isArray(keys) || keys.length === 0 || keys.length > KEYS_MAX) {
    throw new Error(`the JWKS file must have 1 to ${KEYS_MAX} keys`);
  }
  return createLocalJWKSet({ keys: keys.map((key) => record(key, 'key') as JWK) });
}

function record(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${name} is missing`);
  }
  return value as Record<string, unknown>;
}

function text(value: unknown, name: string): string {
  if (typeof value !== 'string' || value === '') {
    throw new Error(`${name} is missing`);
  }
  return value;
}
