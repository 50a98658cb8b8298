/** What Istio leaves in a cluster that runs it, as far as an API server shows it: objects by the names and labels that Istio gives. */
import { systemClock } from '@ambit/core';
import { type CaTexts, createOwnRoot } from '@ambit/identity';
import type { CreatedObject, GroupVersionResource, KubeObject } from '@ambit/kube';
import type { TestCluster } from '@ambit/kube/testing';

export const ISTIO = 'istio-system';

const CORE = { group: '', version: 'v1' };
const APPS = { group: 'apps', version: 'v1' };
const ADMISSION = { group: 'admissionregistration.k8s.io', version: 'v1' };
const RBAC = { group: 'rbac.authorization.k8s.io', version: 'v1' };

type Labels = Readonly<Record<string, string>>;
type Made = readonly [GroupVersionResource, CreatedObject];

/** With its CA in `cacerts`, an injector, a validator, ztunnel, CNI agent, and pods of both kinds of data plane. */
export class Istio {
  readonly ca: CaTexts;
  readonly #cluster: TestCluster;
  readonly #objects: Made[] = [];

  private constructor(cluster: TestCluster, ca: CaTexts) {
    this.#cluster = cluster;
    this.ca = ca;
  }

  static async install(cluster: TestCluster): Promise<Istio> {
    const ca = createOwnRoot({ trustDomain: 'cluster.local', nowMs: systemClock.wallNow() });
    const istio = new Istio(cluster, ca);
    for (const [name, labels] of [
      [ISTIO, {}],
      ['theirs', { 'istio.io/dataplane-mode': 'ambient' }],
      ['injected', { 'istio-injection': 'enabled' }],
      ['ours', { 'istio.io/dataplane-mode': 'ambient', 'istio.io/rev': 'ambit' }],
    ] as const) {
      await istio.make(CORE, 'namespaces', { kind: 'Namespace', metadata: { name, labels } });
      const roots = { name: 'istio-ca-root-cert', namespace: name, labels: CONFIG };
      const data = { 'root-cert.pem': ca.roots };
      await istio.make(CORE, 'configmaps', { kind: 'ConfigMap', metadata: roots, data });
    }
    await istio.#makeControlPlane();
    await istio.#makeWebhooks();
    return istio;
  }

  async make(
    { group, version }: { readonly group: string; readonly version: string },
    resource: string,
    object: Readonly<Record<string, unknown>> & { readonly metadata: CreatedObject['metadata'] },
  ): Promise<void> {
    const apiVersion = group === '' ? version : `${group}/${version}`;
    const gvr = { group, version, resource };
    const created = { apiVersion, ...object } as CreatedObject;
    await this.#cluster.client.create(gvr, created);
    this.#objects.push([gvr, created]);
  }

  /** `resource namespace/name` to the version; what is gone has none. */
  async versions(): Promise<ReadonlyMap<string, string | undefined>> {
    const versions = new Map<string, string | undefined>();
    for (const [gvr, { metadata }] of this.#objects) {
      const ref = {
        name: metadata?.name ?? '',
        ...(metadata?.namespace === undefined ? {} : { namespace: metadata.namespace }),
      };
      const found = await this.#cluster.client.find(gvr, ref);
      versions.set(`${gvr.resource} ${ref.namespace ?? ''}/${ref.name}`, versionOf(found));
    }
    return versions;
  }

  async #makeControlPlane(): Promise<void> {
    const { certificate, key, chain, roots } = this.ca;
    const data = {
      'ca-cert.pem': base64(certificate),
      'ca-key.pem': base64(key),
      'cert-chain.pem': base64(chain === '' ? certificate : chain),
      'root-cert.pem': base64(roots),
    };
    const named = (name: string, labels: Labels = {}) => ({ name, namespace: ISTIO, labels });
    await this.make(CORE, 'secrets', { kind: 'Secret', metadata: named('cacerts'), data });
    const config = { mesh: 'trustDomain: cluster.local' };
    const metadata = named('istio', CONFIG);
    await this.make(CORE, 'configmaps', { kind: 'ConfigMap', metadata, data: config });
    for (const name of ['istiod', 'ztunnel', 'istio-cni']) {
      const account = { kind: 'ServiceAccount', metadata: named(name) };
      await this.make(CORE, 'serviceaccounts', account);
    }
    await this.make(APPS, 'deployments', workload('Deployment', 'istiod'));
    await this.make(APPS, 'daemonsets', workload('DaemonSet', 'ztunnel'));
    await this.make(APPS, 'daemonsets', workload('DaemonSet', 'istio-cni-node'));
    const role = { name: 'istiod-clusterrole-istio-system' };
    await this.make(RBAC, 'clusterroles', { kind: 'ClusterRole', metadata: role, rules: [] });
    const taints = [{ key: 'cni.istio.io/not-ready', effect: 'NoSchedule' }];
    const node = { kind: 'Node', metadata: { name: 'node1' }, spec: { taints } };
    await this.make(CORE, 'nodes', node);
  }

  /** As Istio's default revision has them; nobody answers, so they must not be asked for much. */
  async #makeWebhooks(): Promise<void> {
    const service = { name: 'istiod', namespace: ISTIO, path: '/validate' };
    const webhook = {
      clientConfig: { service },
      failurePolicy: 'Ignore',
      sideEffects: 'None',
      admissionReviewVersions: ['v1'],
    };
    const unlabelled = { key: 'istio.io/rev', operator: 'DoesNotExist' };
    await this.make(ADMISSION, 'validatingwebhookconfigurations', {
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: 'istio-validator-istio-system', labels: { app: 'istiod' } },
      webhooks: [
        {
          ...webhook,
          name: 'validation.istio.io',
          objectSelector: { matchExpressions: [unlabelled] },
          rules: [
            {
              operations: ['CREATE', 'UPDATE'],
              apiGroups: ['security.istio.io', 'networking.istio.io'],
              apiVersions: ['*'],
              resources: ['*'],
            },
          ],
        },
      ],
    });
    await this.make(ADMISSION, 'mutatingwebhookconfigurations', {
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'istio-sidecar-injector', labels: { app: 'sidecar-injector' } },
      webhooks: [
        {
          ...webhook,
          name: 'namespace.sidecar-injector.istio.io',
          namespaceSelector: { matchLabels: { 'istio-injection': 'enabled' } },
          rules: [
            { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] },
          ],
        },
      ],
    });
  }
}

/** The label of Istio on its copies of the root. */
const CONFIG: Labels = { 'istio.io/config': 'true' };

function workload(kind: string, name: string) {
  const labels = { app: name };
  const containers = [{ name, image: `istio/${name}` }];
  return {
    kind,
    metadata: { name, namespace: ISTIO, labels: { ...labels, 'istio.io/rev': 'default' } },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers } },
    },
  };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function versionOf(object: KubeObject | undefined): string | undefined {
  // A status may move; what was written may not.
  const generation = (object?.metadata as { readonly generation?: number } | undefined)?.generation;
  return generation === undefined ? object?.metadata.resourceVersion : `generation ${generation}`;
}
