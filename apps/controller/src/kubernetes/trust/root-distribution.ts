/**
 * The mesh's roots, and the revocation lists of its CAs, in a ConfigMap of every namespace, for whoever has to trust the mesh before it can ask.
 *
 * The one rule: the ConfigMap of that name is ours to write, whoever changes or deletes it, and no other is; that of
 * the reference (istio-ca-root-cert) belongs to istiod.
 */
import {
  isKubeError,
  type KubeObject,
  parseKey,
  RateLimiter,
  Reflector,
  WorkQueue,
} from '@ambit/kube';

import { ControllerError } from '../../errors.ts';
import { type KubernetesContext, MANAGED_BY } from '../context.ts';
import { LeaderDuty, untilAborted } from '../leader-duty.ts';
import { isManaged } from './ca-secret.ts';
import type { TrustRoot } from './trust-root.ts';

const CONFIG_MAPS = { group: '', version: 'v1', resource: 'configmaps' };
const ROOT_KEY = 'root-cert.pem';
/** Beside the roots, so that proxies have both at once; the reference has a ConfigMap of its own for it. */
const CRL_KEY = 'ca-crl.pem';
const FORBIDDEN_NAME = 'istio-ca-root-cert';
/** Writes; a new root reaches 1,000 namespaces within a minute. */
const PER_SECOND = 20;
/** Before what others did is put right, so that two who disagree do not keep the API server busy. */
const PUT_BACK_MS = 1_000;
const NOT_OPEN_MS = 1_000;
const AT_A_TIME = 4;

export interface RootDistributionOptions {
  readonly context: Pick<
    KubernetesContext,
    'http' | 'client' | 'discovery' | 'metrics' | 'clock' | 'log'
  >;
  /** AMBIT_ROOT_CONFIGMAP */
  readonly configMapName: string;
  readonly root: TrustRoot;
  /** Those that exist and are not being deleted. */
  readonly namespaces: {
    list(): Iterable<string>;
    has(namespace: string): boolean;
  };
  readonly perSecond?: number;
}

interface Kept {
  readonly bundle: string | undefined;
  readonly crl: string | undefined;
  readonly isLabelled: boolean;
}

export class RootDistribution extends LeaderDuty {
  readonly #options: RootDistributionOptions;
  #queue: WorkQueue | undefined;

  /** Throws CONTROLLER_CONFIG_INVALID for the name that is the reference's. */
  constructor(options: RootDistributionOptions) {
    super();
    if (options.configMapName === FORBIDDEN_NAME) {
      throw new ControllerError(
        'CONTROLLER_CONFIG_INVALID',
        `AMBIT_ROOT_CONFIGMAP is "${FORBIDDEN_NAME}", which istiod writes; wanted a name of its own, as ambit-ca-root-cert`,
      );
    }
    this.#options = options;
  }

  /** A namespace came or changed. Does nothing while another replica leads. */
  touch(namespace: string): void {
    this.#queue?.add(namespace);
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    const { context, root, namespaces, configMapName, perSecond = PER_SECOND } = this.#options;
    const { http, discovery, clock, metrics, log } = context;
    const limiter = new RateLimiter({ clock, perSecond, burst: perSecond });
    const reflector = new Reflector<Kept>({
      http,
      discovery,
      clock,
      metrics,
      resource: { group: '', resource: 'configmaps', versions: ['v1'] },
      fieldSelector: `metadata.name=${configMapName}`,
      prune: (object) =>
        object.metadata.name === configMapName ? keptOf(object, root) : undefined,
      onEvent: (event) => {
        if (event.kind === 'synced' || event.key === undefined) return;
        const { namespace } = parseKey(event.key);
        if (namespace !== undefined) queue.addAfter(namespace, PUT_BACK_MS);
      },
    });
    const queue = new WorkQueue({
      name: 'root-distribution',
      clock,
      metrics,
      concurrency: AT_A_TIME,
      reconcile: async (namespace, options) => {
        const kept = reflector.get(`${namespace}/${configMapName}`);
        const both = AbortSignal.any([signal, options.signal]);
        return await this.#reconcile(namespace, { kept, limiter, signal: both });
      },
      onFailure: (namespace, error, failures) => {
        if (failures === 1) log.warn('the root cannot be written', { namespace, error });
      },
    });
    const all = (): void => {
      for (const namespace of namespaces.list()) queue.add(namespace);
    };
    const unsubscribe = root.onChange(all);
    this.#queue = queue;
    reflector.start();
    try {
      // Otherwise a new leader would write to every namespace what is there already.
      await Promise.race([reflector.whenSynced(), untilAborted(signal)]);
      if (!signal.aborted) {
        queue.start();
        all();
      }
      await untilAborted(signal);
    } finally {
      this.#queue = undefined;
      unsubscribe();
      await queue.stop();
      await reflector.stop();
    }
  }

  async #reconcile(
    namespace: string,
    options: {
      readonly kept: Kept | undefined;
      readonly limiter: RateLimiter;
      readonly signal: AbortSignal;
    },
  ): Promise<number | undefined> {
    const { context, root, namespaces, configMapName } = this.#options;
    const { kept, limiter, signal } = options;
    if (!namespaces.has(namespace)) return undefined;
    if (!root.isOpen) return NOT_OPEN_MS;
    const bundle = root.rootBundlePem;
    const { crlPem: crl } = root;
    if (kept?.bundle === bundle && kept.crl === crl && kept.isLabelled) return undefined;
    await limiter.take(signal);
    signal.throwIfAborted();
    try {
      await context.client.apply(
        CONFIG_MAPS,
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { namespace, name: configMapName, labels: MANAGED_BY },
          data: { [ROOT_KEY]: bundle, ...(crl === undefined ? {} : { [CRL_KEY]: crl }) },
        },
        { force: true, signal },
      );
    } catch (error) {
      // It is ending, which the reader has not heard yet.
      if (!isEnding(error)) throw error;
    }
    return undefined;
  }
}

/** Thousands of namespaces have the same text, which is kept once. */
function keptOf(object: KubeObject, root: TrustRoot): Kept {
  const data = object['data'] as Readonly<Record<string, string>> | undefined;
  const wanted = root.isOpen ? root.rootBundlePem : undefined;
  const crl = root.isOpen ? root.crlPem : undefined;
  return {
    bundle: same(data?.[ROOT_KEY], wanted),
    crl: same(data?.[CRL_KEY], crl),
    isLabelled: isManaged(object),
  };
}

function same(found: string | undefined, wanted: string | undefined): string | undefined {
  return found === wanted ? wanted : found;
}

function isEnding(error: unknown): boolean {
  if (isKubeError(error, 'KUBE_NOT_FOUND')) return true;
  return (
    isKubeError(error, 'KUBE_FORBIDDEN') &&
    error.causes.some(({ reason }) => reason === 'NamespaceTerminating')
  );
}
