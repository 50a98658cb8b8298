/**
 * The ValidatingWebhookConfiguration that the mesh wants; the controller keeps the cluster's in step.
 *
 * It never blocks anybody (docs/decisions, "The webhook tells, it does not gate"): failure policy Ignore,
 * own groups, own revision, no system namespaces, answers within seconds, no side effects.
 */
import { GATEWAY_GROUP, MESH_GROUPS } from './judge.ts';
import { WEBHOOK_PATH } from './review-handler.ts';

/** Above the validator's own deadlines, so that the answer is ours and not a timeout. */
const TIMEOUT_SECONDS = 5;
const REVISION_LABEL = 'istio.io/rev';
/** Of the reference's default revision; older ones have no selector. */
const REFERENCE_WEBHOOK = 'validation.istio.io';
/** Uninstalling finds it by this. */
export const PART_OF = { 'app.kubernetes.io/part-of': 'ambit' } as const;
const SYSTEM_NAMESPACES: readonly string[] = ['kube-system', 'kube-public', 'kube-node-lease'];

export interface WebhookConfigurationOptions {
  readonly rootNamespace: string;
  readonly revision: string;
  /** True: objects without a revision label are this mesh's. False beside another mesh that owns them. */
  readonly isDefaultRevision: boolean;
  /** PEM; while roots rotate, both. */
  readonly rootBundlePem: string;
  readonly target:
    | {
        readonly kind: 'service';
        /** Default: the root namespace. */
        readonly namespace?: string;
        readonly name: string;
        readonly port: number;
      }
    /** `https://host:port`, for a controller outside of the cluster. */
    | { readonly kind: 'url'; readonly url: string };
}

interface LabelRequirement {
  readonly key: string;
  readonly operator: 'DoesNotExist' | 'In' | 'NotIn';
  readonly values?: readonly string[];
}

interface Selector {
  readonly matchExpressions: readonly LabelRequirement[];
}

export interface ValidatingWebhook {
  readonly name: string;
  readonly admissionReviewVersions: readonly ['v1'];
  readonly clientConfig: {
    readonly caBundle: string;
    readonly service?: {
      readonly namespace: string;
      readonly name: string;
      readonly port: number;
      readonly path: string;
    };
    readonly url?: string;
  };
  readonly failurePolicy: 'Ignore';
  readonly matchPolicy: 'Equivalent';
  readonly sideEffects: 'None';
  readonly timeoutSeconds: number;
  readonly namespaceSelector: Selector;
  readonly objectSelector: Selector;
  readonly rules: readonly {
    readonly apiGroups: readonly string[];
    readonly apiVersions: readonly string[];
    readonly operations: readonly string[];
    readonly resources: readonly string[];
    readonly scope: 'Namespaced';
  }[];
}

export interface ValidatingWebhookConfiguration {
  readonly apiVersion: 'admissionregistration.k8s.io/v1';
  readonly kind: 'ValidatingWebhookConfiguration';
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly webhooks: readonly ValidatingWebhook[];
}

/** What is looked at in another's configuration; everything may be absent. */
export interface ForeignConfiguration {
  readonly webhooks?: readonly {
    readonly name?: string;
    readonly objectSelector?: Partial<Selector> & {
      readonly matchLabels?: Readonly<Record<string, string>>;
    };
    readonly rules?: readonly { readonly apiGroups?: readonly string[] }[];
  }[];
}

export function configurationName({
  revision,
  rootNamespace,
}: Pick<WebhookConfigurationOptions, 'revision' | 'rootNamespace'>): string {
  return `ambit-validator-${revision}-${rootNamespace}`;
}

/**
 * Whether another mesh's webhook (or another revision's) is asked about objects without a revision label: then they
 * are its, and ours is asked only about its own.
 */
export function ownsUnlabelled(configuration: ForeignConfiguration): boolean {
  return (configuration.webhooks ?? []).some(({ name, objectSelector, rules = [] }) => {
    const groups = rules.flatMap(({ apiGroups = [] }) => apiGroups);
    const { matchLabels = {}, matchExpressions = [] } = objectSelector ?? {};
    return (
      groups.some((group) => MESH_GROUPS.includes(group)) &&
      matchLabels[REVISION_LABEL] === undefined &&
      (name === REFERENCE_WEBHOOK ||
        matchExpressions.some(
          ({ key, operator }) => key === REVISION_LABEL && operator === 'DoesNotExist',
        ))
    );
  });
}

/** Pure: apply it when any of the options change, above all the root bundle. */
export function webhookConfiguration(
  options: WebhookConfigurationOptions,
): ValidatingWebhookConfiguration {
  const { revision, isDefaultRevision } = options;
  const owned: LabelRequirement = { key: REVISION_LABEL, operator: 'In', values: [revision] };
  const unlabelled: LabelRequirement = { key: REVISION_LABEL, operator: 'DoesNotExist' };
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: {
      name: configurationName(options),
      labels: { ...PART_OF, [REVISION_LABEL]: revision },
    },
    webhooks: [
      webhook('rev.validation.ambit.io', owned, options),
      ...(isDefaultRevision ? [webhook('validation.ambit.io', unlabelled, options)] : []),
    ],
  };
}

function webhook(
  name: string,
  object: LabelRequirement,
  options: WebhookConfigurationOptions,
): ValidatingWebhook {
  const { rootBundlePem, rootNamespace, target } = options;
  return {
    name,
    admissionReviewVersions: ['v1'],
    clientConfig: {
      caBundle: Buffer.from(rootBundlePem).toString('base64'),
      ...(target.kind === 'url'
        ? { url: `${target.url}${WEBHOOK_PATH}` }
        : {
            service: {
              namespace: target.namespace ?? rootNamespace,
              name: target.name,
              port: target.port,
              path: WEBHOOK_PATH,
            },
          }),
    },
    failurePolicy: 'Ignore',
    matchPolicy: 'Equivalent',
    sideEffects: 'None',
    timeoutSeconds: TIMEOUT_SECONDS,
    namespaceSelector: {
      matchExpressions: [
        { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: SYSTEM_NAMESPACES },
      ],
    },
    objectSelector: { matchExpressions: [object] },
    // Resources without a slash: status and scale are not asked about.
    rules: [
      {
        apiGroups: [...MESH_GROUPS, GATEWAY_GROUP],
        apiVersions: ['*'],
        operations: ['CREATE', 'UPDATE'],
        resources: ['*'],
        scope: 'Namespaced',
      },
    ],
  };
}
