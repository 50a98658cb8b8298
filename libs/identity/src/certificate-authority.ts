/**
 * The CA of the mesh: it signs what has been authorised and asks no questions of its own.
 *
 * The one rule: names in a request are never copied into a certificate. The caller says which identity
 * was authorised, and that alone is stamped.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';

import type { Clock } from '@ambit/core';

import {
  type CaMaterial,
  type CaTexts,
  openOwnRoot,
  parseCaMaterial,
  readCacertsTexts,
} from './ca-material.ts';
import { parseCsrPem } from './csr.ts';
import { type CertificateDump, describeCertificates } from './dump.ts';
import { IdentityError } from './errors.ts';
import { formatSpiffeId, type SpiffeId } from './spiffe.ts';
import { BACKDATE_MS, buildLeaf, LEAF_LIFETIME_SECONDS_MAX } from './x509.ts';
import type { GeneralName } from './x509-extensions.ts';

/** How often a `cacerts` folder is read again: mounted secrets change by symlink, which watches miss. */
const FOLDER_READ_INTERVAL_MS = 5_000;

export interface IssuedCertificate {
  /** PEM each: leaf, intermediates, and the root bundle last. */
  readonly chain: readonly string[];
  readonly serialNumber: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface ServingCertificate {
  readonly privateKeyPem: string;
  /** Leaf and intermediates. */
  readonly certificateChainPem: string;
  readonly rootBundlePem: string;
  readonly notAfterMs: number;
}

export interface CertificateAuthorityOptions {
  readonly trustDomain: string;
  readonly clock: Clock;
  /** Lifetime when the request names none; of workloads also the longest. */
  readonly defaultTtlSeconds: number;
}

/** Who signs for identities that were authorised. */
export interface CertificateIssuer {
  readonly trustDomain: string;
  /** Errors as `CertificateAuthority.sign`; retryable ones when it may be otherwise later. */
  sign(request: {
    readonly csrPem: string;
    readonly identity: SpiffeId;
    readonly ttlSeconds?: number;
  }): IssuedCertificate | Promise<IssuedCertificate>;
}

export class CertificateAuthority implements CertificateIssuer {
  readonly trustDomain: string;
  readonly #clock: Clock;
  readonly #defaultTtlSeconds: number;
  #current: CaMaterial | undefined;
  #texts: CaTexts | undefined;
  readonly #folder: string | undefined;
  readonly #listeners = new Set<() => void>();

  private constructor(
    options: CertificateAuthorityOptions,
    source: { readonly material?: CaMaterial; readonly folder?: string; readonly texts?: CaTexts },
  ) {
    this.trustDomain = options.trustDomain;
    this.#clock = options.clock;
    this.#defaultTtlSeconds = options.defaultTtlSeconds;
    this.#current = source.material;
    this.#folder = source.folder;
    this.#texts = source.texts;
  }

  /** Its own root (EC P-256, ten years), read from `folder` or made there. */
  static async openOwn(
    options: CertificateAuthorityOptions & { readonly folder: string },
  ): Promise<CertificateAuthority> {
    const { folder, trustDomain, clock } = options;
    const material = await openOwnRoot({ folder, trustDomain, nowMs: clock.wallNow() });
    return new CertificateAuthority(options, { material });
  }

  /** A folder of `cacerts` shape. Call `watch` to follow its changes. */
  static async openCacerts(
    options: CertificateAuthorityOptions & { readonly folder: string },
  ): Promise<CertificateAuthority> {
    const { folder } = options;
    const texts = await readCacertsTexts(folder);
    const material = parseCaMaterial(texts, { nowMs: options.clock.wallNow() });
    return new CertificateAuthority(options, { material, folder, texts });
  }

  /** From texts, for tests and for a store other than files. */
  static fromTexts(
    options: CertificateAuthorityOptions & { readonly texts: CaTexts },
  ): CertificateAuthority {
    const material = parseCaMaterial(options.texts, { nowMs: options.clock.wallNow() });
    return new CertificateAuthority(options, { material });
  }

  /** Without material: until `use` has given it some, everything throws IDENTITY_CA_UNAVAILABLE. */
  static pending(options: CertificateAuthorityOptions): CertificateAuthority {
    return new CertificateAuthority(options, {});
  }

  get isOpen(): boolean {
    return this.#current !== undefined;
  }

  get rootBundlePem(): string {
    return this.#material.rootBundlePem;
  }

  /** Revocation lists that came with it; undefined: none did. */
  get crlPem(): string | undefined {
    return this.#material.crlPem;
  }

  /** How many of those lists none of the CAs that came with it has signed. */
  get strangeCrls(): number {
    return this.#material.strangeCrls;
  }

  /**
   * Signs with this from now on. True if it was new. Throws IDENTITY_CA_INVALID, IDENTITY_PEM_INVALID or
   * IDENTITY_CHAIN_INVALID when it cannot be used; then the old stays in use.
   */
  use(texts: CaTexts): boolean {
    if (JSON.stringify(texts) === JSON.stringify(this.#texts)) {
      return false;
    }
    this.#current = parseCaMaterial(texts, { nowMs: this.#clock.wallNow() });
    this.#texts = texts;
    for (const listener of this.#listeners) {
      listener();
    }
    return true;
  }

  /** Called after new material is in use; returns how to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Signs the key of a request for an identity that the caller has authorised.
   *
   * `ttlSeconds` 0 or absent: the default, and no more than that. More than 90 days is refused with
   * IDENTITY_LIFETIME_INVALID, an issuer that ends earlier cuts it in silence. A bad request throws
   * IDENTITY_CSR_INVALID.
   */
  sign(request: {
    readonly csrPem: string;
    readonly identity: SpiffeId;
    readonly ttlSeconds?: number;
  }): IssuedCertificate {
    if (request.identity.trustDomain !== this.trustDomain) {
      throw new IdentityError(
        'IDENTITY_SPIFFE_INVALID',
        `this CA signs for ${this.trustDomain}, not for ${request.identity.trustDomain}`,
        { side: 'downstream' },
      );
    }
    const { publicKey } = parseCsrPem(request.csrPem);
    return this.#issue({
      publicKey,
      names: [{ kind: 'uri', value: formatSpiffeId(request.identity) }],
      ttlSeconds: Math.min(this.#ttl(request.ttlSeconds), this.#defaultTtlSeconds),
    });
  }

  /** For the controller's own port. `names` are DNS names or IP addresses; not empty. */
  issueServing(request: {
    readonly names: readonly string[];
    readonly ttlSeconds: number;
  }): ServingCertificate {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const issued = this.#issue({
      publicKey: createPublicKey(privateKey),
      names: request.names.map(servingName),
      ttlSeconds: this.#ttl(request.ttlSeconds),
    });
    return {
      privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      certificateChainPem: issued.chain.slice(0, -1).join(''),
      rootBundlePem: this.rootBundlePem,
      notAfterMs: issued.notAfterMs,
    };
  }

  /**
   * Reads the folder again every five seconds until `signal` aborts. A folder that can not be used
   * changes nothing and is reported once per content. Does nothing for an own root.
   */
  async watch(options: {
    readonly signal: AbortSignal;
    readonly onError: (error: unknown) => void;
  }): Promise<void> {
    let reported = '';
    while (!options.signal.aborted && this.#folder !== undefined) {
      try {
        await this.#clock.sleep(FOLDER_READ_INTERVAL_MS, options.signal);
        await this.reload();
        reported = '';
      } catch (error) {
        const text = String(error);
        if (!options.signal.aborted && text !== reported) {
          reported = text;
          options.onError(error);
        }
      }
    }
  }

  /** True when the folder's content was new. Throws when it can not be used; the old stays in use. */
  async reload(): Promise<boolean> {
    if (this.#folder === undefined) {
      return false;
    }
    return this.use(await readCacertsTexts(this.#folder));
  }

  /** The issuer and the roots, as in an agent's dump. */
  describe(): CertificateDump {
    const { issuer, rootBundlePem } = this.#material;
    return {
      identity: `CA of ${this.trustDomain}`,
      state: 'Available',
      certChain: describeCertificates([issuer.certificate]),
      rootCerts: describeCertificates(rootBundlePem),
    };
  }

  get #material(): CaMaterial {
    if (this.#current === undefined) {
      throw new IdentityError('IDENTITY_CA_UNAVAILABLE', 'the CA has no key yet', {
        retryable: true,
      });
    }
    return this.#current;
  }

  #ttl(ttlSeconds: number | undefined): number {
    const ttl = ttlSeconds === undefined || ttlSeconds === 0 ? this.#defaultTtlSeconds : ttlSeconds;
    if (!(ttl > 0 && ttl <= LEAF_LIFETIME_SECONDS_MAX)) {
      throw new IdentityError(
        'IDENTITY_LIFETIME_INVALID',
        `requested lifetime of ${ttl} s is outside 1..${LEAF_LIFETIME_SECONDS_MAX} s`,
        { side: 'downstream' },
      );
    }
    return ttl;
  }

  #issue(request: {
    readonly publicKey: KeyObject;
    readonly names: readonly GeneralName[];
    readonly ttlSeconds: number;
  }): IssuedCertificate {
    const { issuer, intermediates, rootBundlePem } = this.#material;
    const nowMs = this.#clock.wallNow();
    if (nowMs >= issuer.certificate.validToDate.getTime()) {
      throw new IdentityError('IDENTITY_CA_INVALID', 'the CA certificate has expired');
    }
    const leaf = buildLeaf({
      issuer,
      publicKey: request.publicKey,
      names: request.names,
      validity: {
        notBeforeMs: nowMs - BACKDATE_MS,
        notAfterMs: nowMs + request.ttlSeconds * 1000,
      },
    });
    return {
      chain: [leaf.pem, ...intermediates, rootBundlePem],
      serialNumber: leaf.certificate.serialNumber,
      notBeforeMs: leaf.notBeforeMs,
      notAfterMs: leaf.notAfterMs,
    };
  }
}

function servingName(name: string): GeneralName {
  switch (isIP(name)) {
    case 4:
      return { kind: 'ip', value: Uint8Array.from(name.split('.').map(Number)) };
    case 6:
      return { kind: 'ip', value: ipv6Bytes(name) };
    default:
      return { kind: 'dns', value: name };
  }
}

/** `isIP` has accepted it, so URL takes it too and writes its groups in one way. */
function ipv6Bytes(text: string): Uint8Array {
  const canonical = new URL(`http://[${text.split('%')[0] ?? ''}]`).hostname.slice(1, -1);
  const [head = '', tail] = canonical.split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  const bytes = new Uint8Array(16);
  [...left, ...zeros, ...right].forEach((group, index) => {
    const value = Number.parseInt(group, 16);
    bytes[index * 2] = value >> 8;
    bytes[index * 2 + 1] = value & 0xff;
  });
  return bytes;
}
