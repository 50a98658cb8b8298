/**
 * Keeps the cluster's ValidatingWebhookConfiguration as the mesh wants it: with the roots of now, and with objects
 * without a revision only while no other mesh has them. What others change is put back.
 */
import { type KubeObject, Reflector, WorkQueue } from '@ambit/kube';

import {
  configurationName,
  type ForeignConfiguration,
  ownsUnlabelled,
  webhookConfiguration,
} from '../../webhook/webhook-configuration.ts';
import { type KubernetesContext, MANAGED_BY } from '../context.ts';
import { LeaderDuty, untilAborted } from '../leader-duty.ts';
import type { TrustRoot } from './trust-root.ts';

const CONFIGURATIONS = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  resource: 'validatingwebhookconfigurations',
};
/** The only revision whose objects may go without a label. */
const DEFAULT_REVISION = 'default';
/** Before what others did is put right, so that two who disagree do not keep the API server busy. */
const PUT_BACK_MS = 1_000;
const NOT_READY_MS = 1_000;
const KEY = 'configuration';

export interface WebhookDutyOptions {
  readonly context: Pick<
    KubernetesContext,
    'http' | 'client' | 'discovery' | 'metrics' | 'clock' | 'log' | 'namespace'
  >;
  readonly root: TrustRoot;
  readonly rootNamespace: string;
  readonly revision: string;
  /** The Service of the webhook in the controller's namespace, or where it is outside of the cluster. */
  readonly target:
    | { readonly kind: 'service'; readonly name: string; readonly port: number }
    | { readonly kind: 'url'; readonly url: string };
}

interface Kept {
  readonly resourceVersion: string;
  readonly ownsUnlabelled: boolean;
}

interface Applied {
  readonly resourceVersion: string;
  readonly text: string;
}

export class WebhookDuty extends LeaderDuty {
  readonly #options: WebhookDutyOptions;
  readonly #name: string;

  constructor(options: WebhookDutyOptions) {
    super();
    this.#options = options;
    this.#name = configurationName(options);
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    const { context, root } = this.#options;
    const { http, discovery, clock, metrics, log } = context;
    let applied: Applied | undefined;
    const reflector = new Reflector<Kept>({
      http,
      discovery,
      clock,
      metrics,
      resource: { ...CONFIGURATIONS, versions: ['v1'] },
      prune: (object) => this.#keep(object),
      onEvent: () => void queue.addAfter(KEY, PUT_BACK_MS),
    });
    const queue = new WorkQueue({
      name: 'webhook-configuration',
      clock,
      metrics,
      reconcile: async (_key, options) => {
        if (!root.isOpen || !reflector.health().isSynced) return NOT_READY_MS;
        const both = AbortSignal.any([signal, options.signal]);
        applied = await this.#apply(reflector, { applied, signal: both });
        return undefined;
      },
      onFailure: (_key, error, failures) => {
        if (failures === 1) log.warn('the webhook configuration cannot be written', { error });
      },
    });
    const unsubscribe = root.onChange(() => void queue.add(KEY));
    reflector.start();
    try {
      await Promise.race([reflector.whenSynced(), untilAborted(signal)]);
      if (!signal.aborted) {
        queue.start();
        queue.add(KEY);
      }
      await untilAborted(signal);
    } finally {
      unsubscribe();
      await queue.stop();
      await reflector.stop();
    }
  }

  /** Ours, and those of other meshes; of a cluster's other webhooks nothing. */
  #keep(object: KubeObject): Kept | undefined {
    const isOurs = object.metadata.name === this.#name;
    const owns = !isOurs && ownsUnlabelled(object as ForeignConfiguration);
    if (!isOurs && !owns) return undefined;
    return { resourceVersion: object.metadata.resourceVersion ?? '', ownsUnlabelled: owns };
  }

  async #apply(
    reflector: Reflector<Kept>,
    { applied, signal }: { readonly applied: Applied | undefined; readonly signal: AbortSignal },
  ): Promise<Applied> {
    const { context, rootNamespace, revision, root, target } = this.#options;
    const others = [...reflector.entries()].filter(([, kept]) => kept.ownsUnlabelled);
    const configuration = webhookConfiguration({
      rootNamespace,
      revision,
      isDefaultRevision: revision === DEFAULT_REVISION && others.length === 0,
      rootBundlePem: root.rootBundlePem,
      target: target.kind === 'url' ? target : { ...target, namespace: context.namespace },
    });
    const { metadata } = configuration;
    const object = {
      ...configuration,
      metadata: { ...metadata, labels: { ...metadata.labels, ...MANAGED_BY } },
    };
    const text = JSON.stringify(object);
    // An apply that changes nothing leaves the version as it is, so whoever changed the object changed the version.
    const found = reflector.get(this.#name)?.resourceVersion;
    if (applied?.text === text && applied.resourceVersion === found) return applied;
    signal.throwIfAborted();
    const answer = await context.client.apply(CONFIGURATIONS, object as unknown as KubeObject, {
      force: true,
      signal,
    });
    const resourceVersion = answer.metadata.resourceVersion ?? '';
    if (applied?.text !== text) {
      const [other] = others.map(([name]) => name);
      const owner = other === undefined ? {} : { unlabelledObjectsAreOf: other };
      context.log.info('webhook configured', { name: this.#name, ...owner });
    }
    return { resourceVersion, text };
  }
}
