/**
 * Who signs in a cluster: the CA whose key is in a Secret or in a mounted folder, and for workloads cert-manager where
 * the settings say so.
 */
import type { CertificateAuthority, CertificateIssuer } from '@ambit/identity';

import { type CaRotation, describeFixed, fixedCa } from '../../admin/ca-routes.ts';
import { openAuthority, warnOfStrangeCrls } from '../../authority.ts';
import type { ControllerConfig } from '../../config.ts';
import type { ProxyTable } from '../../serve/proxy-table.ts';
import type { KubernetesContext } from '../context.ts';
import type { LeaderDuty } from '../leader-duty.ts';
import type { KubernetesSettings } from '../settings.ts';
import { bothRoots, CertManagerIssuer } from './cert-manager/cert-manager-issuer.ts';
import { OwnRootRenewal } from './own-root-renewal.ts';
import { RootRotation } from './root-rotation.ts';
import { SecretAuthority } from './secret-authority.ts';
import type { TrustRoot } from './trust-root.ts';

const MOUNTED_CA =
  'its key is in a Secret of yours: replace it, with both roots in root-cert.pem in between';
const FOREIGN_CA = 'cert-manager signs for workloads: its issuer has to get another root';

export interface ClusterTrustOptions {
  readonly context: KubernetesContext;
  readonly config: ControllerConfig;
  readonly settings: KubernetesSettings;
}

type OnProblems = (problems: readonly string[]) => void;

export class ClusterTrust {
  /** Signs nothing before `open` has resolved. */
  readonly authority: CertificateAuthority;
  /** For workloads: the same, or cert-manager. */
  readonly issuer: CertificateIssuer;
  /** What namespaces are told. */
  readonly root: TrustRoot;
  readonly #options: ClusterTrustOptions;
  /** Undefined: the CA is in a folder. */
  readonly #secret: SecretAuthority | undefined;
  /** Undefined: the CA here signs for workloads too. */
  readonly #outside: CertManagerIssuer | undefined;
  #isStopped = false;
  #onProblems: OnProblems = () => undefined;

  private constructor(options: ClusterTrustOptions, folder: CertificateAuthority | undefined) {
    const { context, config, settings } = options;
    const { trustDomain, certTtlSeconds: defaultTtlSeconds } = config;
    this.#options = options;
    if (folder === undefined) {
      this.#secret = new SecretAuthority({
        context,
        secretName: settings.caSecret,
        rootConfigMap: settings.rootConfigMap,
        trustDomain,
        defaultTtlSeconds,
        onProblem: (problem) => this.#onProblems(problem === undefined ? [] : [problem]),
      });
      this.authority = this.#secret.authority;
    } else {
      this.authority = folder;
    }
    warnOfStrangeCrls(this.authority, context.log);
    const { certManagerIssuer: issuer } = settings;
    if (issuer === undefined) {
      this.issuer = this.authority;
      this.root = this.authority;
    } else {
      this.#outside = new CertManagerIssuer({ context, issuer, trustDomain, defaultTtlSeconds });
      this.issuer = this.#outside;
      this.root = bothRoots(this.#outside, this.authority);
    }
  }

  /** Reads the folder that the chart mounts; it goes before Secrets that are read by the API. */
  static async create(options: ClusterTrustOptions): Promise<ClusterTrust> {
    const { config, context } = options;
    const folder =
      config.cacertsDir === '' ? undefined : await openAuthority(config, context.clock);
    return new ClusterTrust(options, folder);
  }

  /** Until the CA can sign, or `stop`. */
  async open(onProblems: OnProblems): Promise<void> {
    this.#onProblems = onProblems;
    this.#secret?.start();
    try {
      await this.#secret?.whenOpen();
    } catch (error) {
      // Stopped before the CA was there: there is nothing to serve.
      if (!this.#isStopped) throw error;
    }
    this.#outside?.start();
    this.#onProblems = () => undefined;
  }

  /** A folder may be replaced; Secrets are followed in any case. Until `signal` aborts. */
  watchFolder(signal: AbortSignal): void {
    if (this.#secret !== undefined) return;
    const { log } = this.#options.context;
    void this.authority.watch({
      signal,
      onError: (error) => log.error('the CA folder cannot be used', { error }),
    });
  }

  duties(): readonly LeaderDuty[] {
    const { context, config, settings } = this.#options;
    const { caSecret: secretName } = settings;
    const { trustDomain } = config;
    return [
      ...(this.#secret === undefined
        ? []
        : [new OwnRootRenewal({ context, secretName, trustDomain })]),
      ...(this.#outside === undefined ? [] : [this.#outside]),
    ];
  }

  rotation(proxies: Pick<ProxyTable, 'trust'>): CaRotation {
    const { context, config, settings } = this.#options;
    const { cacertsDir, trustDomain } = config;
    const { caSecret: secretName, certManagerIssuer: outside } = settings;
    const trust = (): ReturnType<ProxyTable['trust']> => proxies.trust();
    if (this.#secret !== undefined && outside === undefined) {
      return new RootRotation({ context, secretName, trustDomain, proxies: trust });
    }
    return fixedCa(() =>
      describeFixed({
        authority: this.#outside ?? this.authority,
        ...(outside === undefined
          ? { source: `folder ${cacertsDir}`, why: MOUNTED_CA }
          : { source: `${outside.kind} ${outside.name} of cert-manager`, why: FOREIGN_CA }),
        proxies: trust().length,
      }),
    );
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#outside?.stop();
    await this.#secret?.stop();
  }
}
