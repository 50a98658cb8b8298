/**
 * The CA whose key is in a Secret of the controller's namespace, the same for every replica.
 *
 * The one rule: what the watch says is used, by every replica alike; the only thing written is a Secret that is not
 * there at all, and of replicas that try at once the API server lets one win. A Secret that cannot be used is left as
 * it is: before the first good one nothing is served, later the material before stays in use. One that went brings no other root:
 * what was in it stays in use, and is put back if the controller made it.
 */
import { Backoff, type Clock, MeshError } from '@ambit/core';
import { type CaTexts, CertificateAuthority, createOwnRoot } from '@ambit/identity';
import { isKubeError, Reflector, WorkQueue } from '@ambit/kube';

import type { KubernetesContext } from '../context.ts';
import { putBack, sharesRoot, trustedRoots } from './ca-continuity.ts';
import { type CaSecret, caSecretOf, caTextsOf, ownSecret, SECRETS } from './ca-secret.ts';

/** Until the Secrets are known, for saying why they are not. */
const ASK_AGAIN_MS = 1_000;
/** Whoever replaces a Secret deletes and creates it. */
const PUT_BACK_MS = 5_000;
/** Between attempts to put it back. */
const PUT_BACK_AGAIN = { initialMs: 1_000, maxMs: 30_000, jitter: 0.2 };

export interface SecretAuthorityOptions {
  readonly context: Pick<
    KubernetesContext,
    'http' | 'client' | 'discovery' | 'metrics' | 'clock' | 'log' | 'namespace'
  >;
  /** AMBIT_CA_SECRET. Empty: only `cacertsName` is used, and nothing is made. */
  readonly secretName: string;
  /** A CA that somebody else brings; used while the Secret above is not there. Default `cacerts`, as the reference. */
  readonly cacertsName?: string;
  /** AMBIT_ROOT_CONFIGMAP. One in the controller's namespace says that there was a CA: then none is made. */
  readonly rootConfigMap?: string;
  readonly trustDomain: string;
  readonly defaultTtlSeconds: number;
  /** What keeps the Secret from being used; undefined when it is in use as it is. Told of changes only. */
  readonly onProblem: (problem: string | undefined) => void;
}

export class SecretAuthority {
  /** There from the beginning; signs nothing before `whenOpen`. */
  readonly authority: CertificateAuthority;
  readonly #options: SecretAuthorityOptions;
  readonly #clock: Clock;
  readonly #secrets: readonly Reflector<CaSecret>[];
  readonly #queue: WorkQueue;
  readonly #opened = Promise.withResolvers<void>();
  /** In use, as it was read. */
  #source: CaSecret | undefined;
  #problem: string | undefined;
  /** Monotonic; since when the Secret in use is not there. */
  #missingSinceMs: number | undefined;
  /** The mesh trusts other roots by now than those of the Secret that is not there. */
  #isSuperseded = false;
  readonly #putBackAgain = new Backoff(PUT_BACK_AGAIN);

  constructor(options: SecretAuthorityOptions) {
    const { context, trustDomain, defaultTtlSeconds } = options;
    this.#options = options;
    this.#clock = context.clock;
    this.authority = CertificateAuthority.pending({
      trustDomain,
      clock: context.clock,
      defaultTtlSeconds,
    });
    this.#queue = new WorkQueue({
      name: 'ca-secret',
      clock: context.clock,
      metrics: context.metrics,
      reconcile: async (_key, { signal }) => await this.#reconcile(signal),
      onFailure: (_key, error) =>
        this.#tell(error instanceof Error ? error.message : String(error)),
    });
    const { secretName, cacertsName = 'cacerts' } = options;
    const names = [...new Set([secretName, cacertsName])].filter((name) => name !== '');
    this.#secrets = names.map((name) => this.#reflector(name));
    // Whoever waits handles it; nobody may be waiting.
    this.#opened.promise.catch(() => undefined);
  }

  /** The Secret in use. */
  get source(): CaSecret | undefined {
    return this.#source;
  }

  /** Begins to follow the Secrets. */
  start(): void {
    for (const reflector of this.#secrets) reflector.start();
    this.#queue.start();
    this.#queue.add('ca');
  }

  /** Resolves when the CA can sign. Rejects when it was stopped before. */
  async whenOpen(): Promise<void> {
    await this.#opened.promise;
  }

  async stop(): Promise<void> {
    this.#opened.reject(new Error('the CA was stopped'));
    await this.#queue.stop();
    await Promise.all(this.#secrets.map((reflector) => reflector.stop()));
  }

  #reflector(name: string): Reflector<CaSecret> {
    const { http, discovery, clock, metrics, namespace } = this.#options.context;
    return new Reflector({
      http,
      discovery,
      clock,
      metrics,
      resource: { group: '', resource: 'secrets', versions: ['v1'] },
      namespace,
      fieldSelector: `metadata.name=${name}`,
      prune: (secret) => (secret.metadata.name === name ? caSecretOf(secret) : undefined),
      onEvent: () => void this.#queue.add('ca'),
    });
  }

  async #reconcile(signal: AbortSignal): Promise<number | undefined> {
    const unsynced = this.#secrets.map((one) => one.health()).find((one) => !one.isSynced);
    if (unsynced !== undefined) {
      const { lastError } = unsynced;
      if (lastError !== undefined) this.#tell(`the Secrets of the CA cannot be read: ${lastError}`);
      return ASK_AGAIN_MS;
    }
    const present = this.#secrets.flatMap((reflector) => [...reflector.entries()].slice(0, 1));
    let refused: string | undefined;
    for (const [, secret] of present) {
      const isSame = secret.name === this.#source?.name;
      const problem = isSame ? undefined : await this.#breakWith(secret, signal);
      if (problem === undefined) {
        this.#missingSinceMs = undefined;
        this.#isSuperseded = false;
        this.#putBackAgain.reset();
        this.#use(secret, refused);
        return undefined;
      }
      refused ??= problem;
    }
    if (refused === undefined || this.#source !== undefined) return await this.#missing(signal);
    this.#tell(refused);
    return ASK_AGAIN_MS;
  }

  /** Why another Secret than the one in use, or a first one, cannot be used: proxies would not trust it. */
  async #breakWith(secret: CaSecret, signal: AbortSignal): Promise<string | undefined> {
    const { context, rootConfigMap } = this.#options;
    const isFirst = this.#source === undefined;
    const trusted = isFirst ? await this.#trusted(signal) : this.authority.rootBundlePem;
    const texts = textsOf(secret);
    // What cannot be read at all is refused when it is to be used.
    if (trusted === undefined || texts === undefined || sharesRoot(texts, trusted))
      return undefined;
    const anew = `to begin anew, delete ConfigMap ${context.namespace}/${rootConfigMap ?? ''} while no controller runs, and restart all agents and waypoints`;
    return `Secret ${secret.name} has other roots than the mesh trusts, and is not used: put the former roots into its root-cert.pem too; or, ${anew}`;
  }

  async #trusted(signal: AbortSignal): Promise<string | undefined> {
    const { context, rootConfigMap: name } = this.#options;
    const { namespace, client } = context;
    return name === undefined ? undefined : await trustedRoots(client, { namespace, name }, signal);
  }

  #use(secret: CaSecret, problem: string | undefined): void {
    try {
      const texts = caTextsOf(secret);
      const isNew = this.authority.use(texts);
      const before = this.#source;
      this.#source = secret;
      this.#tell(problem);
      this.#opened.resolve();
      if (isNew) {
        const from = before === undefined ? {} : { before: before.name };
        this.#options.context.log.info('CA in use', { secret: secret.name, ...from });
      }
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      const message = error.message.includes(secret.name)
        ? error.message
        : `Secret ${secret.name}: ${error.message}`;
      this.#tell(message);
    }
  }

  /** No other root takes the place of one that went: whoever trusts that could not follow. Our own Secret is put back as it was. */
  async #missing(signal: AbortSignal): Promise<number | undefined> {
    const { context, secretName, cacertsName = 'cacerts', trustDomain } = this.#options;
    const { namespace, client } = context;
    if (this.#source !== undefined) return await this.#restore(this.#source, signal);
    if (secretName === '') {
      this.#tell(`Secret ${namespace}/${cacertsName} is not there`);
      return undefined;
    }
    const lost = await this.#lost(secretName, signal);
    if (lost !== undefined) {
      if (lost !== '') this.#tell(lost);
      return ASK_AGAIN_MS;
    }
    const made = createOwnRoot({ trustDomain, nowMs: this.#clock.wallNow() });
    try {
      await client.create(SECRETS, ownSecret({ namespace, name: secretName }, made), { signal });
      context.log.info('CA made', { secret: `${namespace}/${secretName}` });
    } catch (error) {
      if (!isKubeError(error, 'KUBE_ALREADY_EXISTS')) throw error;
    }
    // Ours or another replica's: the watch brings it.
    return ASK_AGAIN_MS;
  }

  /** Its replicas all do; the API server lets one win. What others brought is theirs to put back. */
  async #restore(secret: CaSecret, signal: AbortSignal): Promise<number | undefined> {
    const { context, secretName } = this.#options;
    const { namespace, client, log } = context;
    const isOurs = secret.isOurs && secret.name === `${namespace}/${secretName}`;
    this.#sayGone(secret, isOurs);
    if (!isOurs) return undefined;
    this.#missingSinceMs ??= this.#clock.now();
    const waitMs = this.#missingSinceMs + PUT_BACK_MS - this.#clock.now();
    if (waitMs > 0) return waitMs;
    try {
      const trusted = await this.#trusted(signal);
      this.#isSuperseded = !(await putBack(secret, { client, trusted, signal }));
      this.#sayGone(secret, isOurs);
      if (!this.#isSuperseded) {
        log.warn('the Secret of the CA was deleted and is put back', { secret: secret.name });
      }
    } catch (error) {
      if (!isKubeError(error, 'KUBE_ALREADY_EXISTS')) throw error;
    }
    return this.#putBackAgain.next();
  }

  #sayGone({ name }: CaSecret, isOurs: boolean): void {
    const ours = this.#isSuperseded
      ? 'it is not put back, because the root ConfigMap does not have all of its roots; put back the Secret that has those'
      : 'it is put back';
    const after = isOurs ? ours : 'put it back';
    this.#tell(`Secret ${name} is gone; what was in it stays in use: ${after}`);
  }

  /**
   * Why there was a CA before, so that another one would cut every proxy off that trusts its root: a process that starts cannot
   * know it otherwise. Empty: the Secret has come meanwhile. Throws KubeError.
   */
  async #lost(secretName: string, signal: AbortSignal): Promise<string | undefined> {
    const { context, rootConfigMap: name, cacertsName = 'cacerts' } = this.#options;
    const { namespace, client } = context;
    if ((await this.#trusted(signal)) === undefined) return undefined;
    const secret = await client.find(SECRETS, { namespace, name: secretName }, { signal });
    return secret === undefined
      ? `neither Secret ${namespace}/${secretName} nor ${namespace}/${cacertsName} is there, and ConfigMap ${namespace}/${name ?? ''} says that the mesh trusts a root that was in one of them: put that Secret back; or, to begin anew, delete the ConfigMap while no controller runs, and restart all agents and waypoints`
      : '';
  }

  #tell(problem: string | undefined): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    const { log } = this.#options.context;
    if (problem !== undefined) log.error('the CA cannot be used as it is', { problem });
    this.#options.onProblem(problem);
  }
}

/** Undefined: it cannot be used at all. */
function textsOf(secret: CaSecret): CaTexts | undefined {
  try {
    return caTextsOf(secret);
  } catch (error) {
    if (error instanceof MeshError) return undefined;
    throw error;
  }
}
