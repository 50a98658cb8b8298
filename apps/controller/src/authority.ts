/**
 * The CA and what hangs on it: its root where others read it, the serving certificate, what was issued.
 */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Clock } from '@ambit/core';
import {
  CertificateAuthority,
  IdentityError,
  JwksTokenVerifier,
  type ServingCertificate,
  type TokenVerifier,
} from '@ambit/identity';
import type { AdminCertificate } from '@ambit/model';
import type { Logger } from '@ambit/telemetry';
import type { CertificateServiceEvent } from '@ambit/xds';

import type { ControllerConfig } from './config.ts';
import type { Kept } from './status/state-file.ts';

/** Of the controller's own port; renewed at half of it. */
const SERVING_TTL_SECONDS = 86_400;
const RETRY_MS = 10_000;
/** Certificates that are remembered for people, one for each identity and proxy. */
const ISSUED_MAX = 5_000;

export async function openAuthority(
  config: ControllerConfig,
  clock: Clock,
): Promise<CertificateAuthority> {
  const folder = join(config.stateDir, 'ca');
  await mkdir(folder, { recursive: true, mode: 0o755 });
  const options = {
    trustDomain: config.trustDomain,
    clock,
    defaultTtlSeconds: config.certTtlSeconds,
  };
  if (config.cacertsDir === '') return await CertificateAuthority.openOwn({ ...options, folder });
  const authority = await CertificateAuthority.openCacerts({
    ...options,
    folder: config.cacertsDir,
  });
  await publishRoot(authority, config.stateDir);
  return authority;
}

/** For whoever has to trust the mesh before it can ask: the roots, and revocation lists if there are. */
export async function publishRoot(
  authority: CertificateAuthority,
  stateDir: string,
): Promise<void> {
  const path = join(stateDir, 'ca', 'root-cert.pem');
  await replace(path, authority.rootBundlePem);
  if (authority.crlPem !== undefined) {
    await replace(join(stateDir, 'ca', 'ca-crl.pem'), authority.crlPem);
  }
}

/**
 * Now and after every change of the CA. Such a list is handed out all the same: it may be of an intermediate CA of another cluster, which
 * is not known here.
 */
export function warnOfStrangeCrls(authority: CertificateAuthority, log: Logger): void {
  const look = (): void => {
    if (authority.isOpen && authority.strangeCrls > 0) {
      const effect = 'they revoke nobody below the CAs that are known here';
      log.warn('revocation lists are signed by no CA of the chain and the roots', {
        lists: authority.strangeCrls,
        effect,
      });
    }
  };
  look();
  authority.onChange(look);
}

async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o644 });
  await rename(`${path}.new`, path);
}

export function tokenVerifier(config: ControllerConfig, clock: Clock): TokenVerifier {
  if (config.tokenJwks !== '') return new JwksTokenVerifier({ path: config.tokenJwks, clock });
  return {
    verify: () =>
      Promise.reject(
        new IdentityError('IDENTITY_TOKEN_KEYS_UNAVAILABLE', 'AMBIT_TOKEN_JWKS is not set'),
      ),
  };
}

/** Keeps a serving certificate in use: a new one at half of its life, and when the CA changes. */
export class ServingRenewal {
  readonly #authority: CertificateAuthority;
  readonly #names: readonly string[];
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  #unsubscribe: (() => void) | undefined;

  /** `names`: DNS names and addresses of the certificate. */
  constructor(
    options: {
      readonly authority: CertificateAuthority;
      readonly clock: Clock;
      readonly log: Logger;
    } & ({ readonly config: ControllerConfig } | { readonly names: readonly string[] }),
  ) {
    this.#authority = options.authority;
    this.#names = 'names' in options ? options.names : servingNames(options.config);
    this.#clock = options.clock;
    this.#log = options.log;
  }

  issue(): ServingCertificate {
    return this.#authority.issueServing({ names: this.#names, ttlSeconds: SERVING_TTL_SECONDS });
  }

  /** Until `stop`. `use` gets every new certificate. */
  start(use: (certificate: ServingCertificate) => void): void {
    this.#unsubscribe = this.#authority.onChange(() => this.#renew(use));
    void this.#run(use);
  }

  stop(): void {
    this.#unsubscribe?.();
    this.#stopping.abort();
  }

  async #run(use: (certificate: ServingCertificate) => void): Promise<void> {
    const { signal } = this.#stopping;
    let waitMs = (SERVING_TTL_SECONDS * 1000) / 2;
    while (!signal.aborted) {
      await this.#clock.sleep(waitMs, signal).catch(() => {
        // Stopped: the loop ends.
      });
      if (signal.aborted) return;
      waitMs = this.#renew(use) ? (SERVING_TTL_SECONDS * 1000) / 2 : RETRY_MS;
    }
  }

  #renew(use: (certificate: ServingCertificate) => void): boolean {
    try {
      use(this.issue());
      return true;
    } catch (error) {
      this.#log.error('the serving certificate cannot be renewed', { error });
      return false;
    }
  }
}

/** What was issued last to whom, for the admin pages; kept across restarts. */
export class IssuedCertificates {
  readonly #issued = new Map<string, AdminCertificate>();
  readonly #file: Kept<readonly AdminCertificate[]>;
  readonly #wallNow: () => number;

  constructor(file: Kept<readonly AdminCertificate[]>, wallNow: () => number) {
    this.#file = file;
    this.#wallNow = wallNow;
  }

  async restore(): Promise<void> {
    const json = await this.#file.read();
    for (const item of Array.isArray(json) ? (json as readonly unknown[]) : []) {
      if (isCertificate(item) && item.notAfterMs > this.#wallNow()) {
        this.#issued.set(`${item.identity} ${item.proxy}`, item);
      }
    }
  }

  note(event: Extract<CertificateServiceEvent, { kind: 'issued' }>): void {
    const { caller, identity, serialNumber, notAfterMs } = event;
    const proxy = `${caller.namespace}/${caller.pod.name}`;
    const id = `${identity} ${proxy}`;
    this.#issued.delete(id);
    this.#issued.set(id, {
      identity,
      proxy,
      serial: serialNumber,
      notBeforeMs: this.#wallNow(),
      notAfterMs,
    });
    const oldest = this.#issued.keys().next();
    if (this.#issued.size > ISSUED_MAX && oldest.done !== true) this.#issued.delete(oldest.value);
    this.#file.write(() => this.list());
  }

  list(): readonly AdminCertificate[] {
    return [...this.#issued.values()].sort((a, b) => (a.identity < b.identity ? -1 : 1));
  }

  async flush(): Promise<void> {
    await this.#file.flush();
  }
}

function isCertificate(value: unknown): value is AdminCertificate {
  if (typeof value !== 'object' || value === null) return false;
  const { identity, proxy, serial, notBeforeMs, notAfterMs } = value as Partial<AdminCertificate>;
  return (
    typeof identity === 'string' &&
    typeof proxy === 'string' &&
    typeof serial === 'string' &&
    typeof notBeforeMs === 'number' &&
    typeof notAfterMs === 'number'
  );
}

function servingNames(config: ControllerConfig): readonly string[] {
  const { rootNamespace, clusterDomain } = config;
  const hosts = ['istiod', 'ambit-controller'].flatMap((host) => [
    `${host}.${rootNamespace}.svc`,
    `${host}.${rootNamespace}.svc.${clusterDomain}`,
  ]);
  return [...new Set([...hosts, 'localhost', '127.0.0.1', '::1', ...config.servingNames])];
}
