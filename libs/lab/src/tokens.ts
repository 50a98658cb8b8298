/**
 * Service account tokens as kube-apiserver mints them: bound to a pod and its node, ES256, for the mesh's CA only.
 *
 * Kept in files that are replaced whole before they expire; their readers read again. The key lives in memory.
 */
import { writeFileSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';

export const TOKEN_AUDIENCE = 'istio-ca';
const ISSUER = 'https://kubernetes.default.svc.cluster.local';
const KEY_ID = 'ambit-lab';
/** Kubernetes' default for projected tokens is an hour as well. */
const TOKEN_TTL_SECONDS = 3_600;

export interface TokenSubject {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: { readonly name: string; readonly uid: string };
  readonly node: string;
}

export class TokenFiles {
  readonly #folder: string;
  readonly #privateKey: CryptoKey;
  readonly #subjects = new Map<string, TokenSubject>();

  private constructor(folder: string, privateKey: CryptoKey) {
    this.#folder = folder;
    this.#privateKey = privateKey;
  }

  /** Makes a key and publishes its public half as a JWK set. */
  static async create(folder: string, jwksFile: string): Promise<TokenFiles> {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid: KEY_ID, use: 'sig', alg: 'ES256' };
    writeFileSync(jwksFile, JSON.stringify({ keys: [jwk] }));
    return new TokenFiles(folder, privateKey);
  }

  /** Writes a token and keeps it fresh until `remove`. Returns its path. */
  async add(subject: TokenSubject): Promise<string> {
    const file = this.#fileOf(subject);
    this.#subjects.set(file, subject);
    await this.#write(file, subject);
    return file;
  }

  async remove(subject: TokenSubject): Promise<void> {
    const file = this.#fileOf(subject);
    this.#subjects.delete(file);
    await rm(file, { force: true });
  }

  /** To be called at least every quarter of the life of a token. */
  async renewAll(): Promise<void> {
    for (const [file, subject] of this.#subjects) {
      await this.#write(file, subject);
    }
  }

  #fileOf({ namespace, pod }: TokenSubject): string {
    return join(this.#folder, `${namespace}.${pod.name}.token`);
  }

  async #write(file: string, subject: TokenSubject): Promise<void> {
    const { namespace, serviceAccount, pod, node } = subject;
    const token = await new SignJWT({
      'kubernetes.io': {
        namespace,
        serviceaccount: { name: serviceAccount },
        pod,
        node: { name: node },
      },
    })
      .setProtectedHeader({ alg: 'ES256', kid: KEY_ID })
      .setIssuer(ISSUER)
      .setSubject(`system:serviceaccount:${namespace}:${serviceAccount}`)
      .setAudience([TOKEN_AUDIENCE])
      .setIssuedAt()
      .setNotBefore('0s')
      .setExpirationTime(`${TOKEN_TTL_SECONDS}s`)
      .sign(this.#privateKey);
    writeFileSync(`${file}.new`, token, { mode: 0o600 });
    await rename(`${file}.new`, file);
  }
}
