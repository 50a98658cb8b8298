/** CRDs and objects on the API server of a test. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  CRD_OWNER_LABEL,
  type CustomResourceDefinition,
  customResourceDefinitions,
  parseYaml,
} from '@ambit/api';
import { ARTICLE_CASES, SAMPLES } from '@ambit/api/testing';
import type { CreatedObject, GroupVersionResource, KubeObject } from '@ambit/kube';
import type { TestCluster } from '@ambit/kube/testing';

export type JsonObject = Readonly<Record<string, unknown>>;

const DEFINITIONS: GroupVersionResource = {
  group: 'apiextensions.k8s.io',
  version: 'v1',
  resource: 'customresourcedefinitions',
};
const ESTABLISHED_MS_MAX = 20_000;
const POLL_MS = 50;

/** Resolves when all of them are served. */
export async function applyCrds(
  cluster: TestCluster,
  crds: readonly { readonly metadata: { readonly name: string } }[],
): Promise<void> {
  for (const crd of crds) {
    await cluster.client.apply(DEFINITIONS, crd as KubeObject, { force: true });
  }
  const deadline = performance.now() + ESTABLISHED_MS_MAX;
  for (const { metadata } of crds) {
    while ((await conditionsOf(cluster, metadata.name)).get('Established') !== 'True') {
      if (performance.now() > deadline) throw new Error(`${metadata.name} is not established`);
      await new Promise((resolve) => {
        const timer = AbortSignal.timeout(POLL_MS);
        timer.addEventListener('abort', resolve, { once: true });
      });
    }
  }
}

/** Nobody's CRDs are overwritten by a test: throws if one of ours is there and not ours. */
export async function refuseForeignCrds(cluster: TestCluster): Promise<void> {
  for (const { metadata } of customResourceDefinitions()) {
    const found = await cluster.client.find(DEFINITIONS, { name: metadata.name });
    const isOurs = found?.metadata.labels?.[CRD_OWNER_LABEL.key] === CRD_OWNER_LABEL.value;
    if (found !== undefined && !isOurs) {
      throw new Error(`the cluster has ${metadata.name} of others; use one without`);
    }
  }
}

/** Type → status. */
export async function conditionsOf(
  cluster: TestCluster,
  name: string,
): Promise<ReadonlyMap<string, string>> {
  const crd = (await cluster.client.get(DEFINITIONS, { name })) as {
    readonly status?: {
      readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    };
  };
  return new Map((crd.status?.conditions ?? []).map(({ type, status }) => [type, status]));
}

const BY_KIND: ReadonlyMap<string, CustomResourceDefinition> = new Map(
  customResourceDefinitions().map((crd) => [crd.spec.names.kind, crd]),
);

/** True for a kind that has a CRD of ours; Gateway API has a Gateway too. */
function isIstioKind(object: JsonObject): boolean {
  const [group = ''] = String(object['apiVersion']).split('/');
  const crd = BY_KIND.get(String(object['kind']));
  const versions = crd?.spec.versions.map(({ name }) => `${crd.spec.group}/${name}`) ?? [];
  return group.endsWith('.istio.io') && versions.includes(String(object['apiVersion']));
}

/** Where objects of `kind` are, in the first version that is served. */
export function resourceOf(kind: string): GroupVersionResource & { readonly apiVersion: string } {
  const spec = BY_KIND.get(kind)?.spec;
  const version = spec?.versions[0]?.name;
  if (spec === undefined || version === undefined) throw new TypeError(`no CRD of ${kind}`);
  const { group, names } = spec;
  return { group, version, resource: names.plural, apiVersion: `${group}/${version}` };
}

let count = 0;

/** Stores `object` under a name of its own and returns what is stored. Rejects as the server does. */
export async function store(
  cluster: TestCluster,
  namespace: string,
  object: JsonObject,
): Promise<JsonObject> {
  const { group, resource } = resourceOf(String(object['kind']));
  const version = String(object['apiVersion']).split('/')[1] ?? '';
  count += 1;
  const metadata = { ...(object['metadata'] as JsonObject), namespace, name: `fixture-${count}` };
  const created = await cluster.client.create({ group, version, resource }, {
    ...object,
    metadata,
  } as unknown as CreatedObject);
  const ref = { namespace, name: created.metadata?.name ?? '' };
  return (await cluster.client.get({ group, version, resource }, ref)) as unknown as JsonObject;
}

const SAMPLE_FILES = join(import.meta.dirname, '..', '..', '..', '..', 'manifests', 'samples');

/** Every fixture of an Istio kind, in its own words. */
export function fixtures(): readonly (readonly [title: string, object: JsonObject])[] {
  const files = globSync('**/*.yaml', { cwd: SAMPLE_FILES }).map((file) => ({
    title: file,
    text: readFileSync(join(SAMPLE_FILES, file), 'utf8'),
  }));
  const written = [...ARTICLE_CASES, ...files].flatMap(({ title, text }) =>
    parseYaml(text, { source: title }).documents.map(
      ({ value }, index) => [`${title} ${index}`, value as JsonObject] as const,
    ),
  );
  const samples = SAMPLES.map((object) => [`sample ${String(object['kind'])}`, object] as const);
  return [...samples, ...written].filter(([, object]) => isIstioKind(object));
}
