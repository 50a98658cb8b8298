/** CustomResourceDefinitions of every kind of `kinds.ts`, as objects and as the text of a manifest. */
import { definitionOf } from '../schema/kinds.ts';
import type { WireSchema } from '../schema/wire.ts';
import { formatYaml } from '../yaml.ts';
import { annotationsOf } from './annotations.ts';
import { CrdError, emitSchema } from './emit-schema.ts';
import { CRD_KINDS, type CrdKind, type PrinterColumn } from './kinds.ts';

/**
 * On every CRD that is ours. Whoever installs leaves a CRD of the same name without it alone, and whoever
 * uninstalls removes only those with it.
 */
export const CRD_OWNER_LABEL = { key: 'ambit.io/crd-owner', value: 'ambit' } as const;

export interface CrdVersion {
  readonly name: string;
  readonly served: true;
  readonly storage: boolean;
  readonly additionalPrinterColumns: readonly PrinterColumn[];
  readonly schema: { readonly openAPIV3Schema: WireSchema };
  readonly subresources: { readonly status: Readonly<Record<string, never>> };
}

export interface CustomResourceDefinition {
  readonly apiVersion: 'apiextensions.k8s.io/v1';
  readonly kind: 'CustomResourceDefinition';
  readonly metadata: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly group: string;
    readonly names: {
      readonly kind: string;
      readonly listKind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames?: readonly string[];
      readonly categories: readonly string[];
    };
    readonly scope: 'Namespaced';
    readonly versions: readonly CrdVersion[];
  };
}

/** All CRDs, in the order of the documentation. Throws CrdError if a schema cannot be said in one. */
export function customResourceDefinitions(): readonly CustomResourceDefinition[] {
  return CRD_KINDS.map(definitionFor);
}

/** The text of the manifest of one CRD. */
export function formatCrd(crd: CustomResourceDefinition): string {
  const head = '# Generated from libs/api; AMBIT_UPDATE_CRDS=1 in its tests writes it.\n';
  return `${head}${formatYaml(crd)}`;
}

function definitionFor(kind: CrdKind): CustomResourceDefinition {
  const openAPIV3Schema = schemaOf(kind);
  const { group, plural, shortNames, storage } = kind;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${plural}.${group}`,
      labels: {
        'app.kubernetes.io/part-of': 'ambit',
        [CRD_OWNER_LABEL.key]: CRD_OWNER_LABEL.value,
      },
      // Deleting a CRD deletes every object of it; no chart may do that in passing.
      annotations: { 'helm.sh/resource-policy': 'keep' },
    },
    spec: {
      group,
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural,
        singular: kind.kind.toLowerCase(),
        ...(shortNames.length === 0 ? {} : { shortNames }),
        categories: ['istio-io', `${group.replace('.istio.io', '')}-istio-io`],
      },
      scope: 'Namespaced',
      versions: kind.versions.map((name) => ({
        name,
        served: true,
        storage: name === storage,
        additionalPrinterColumns: kind.columns,
        schema: { openAPIV3Schema },
        subresources: { status: {} },
      })),
    },
  };
}

function schemaOf({ kind, group, versions, description }: CrdKind): WireSchema {
  const served = definitionOf(group, kind);
  if (served === undefined) return rootSchema(description, OPEN, []);
  const missing = served.versions.filter((version) => !versions.includes(version));
  if (missing.length > 0) throw new CrdError(`the CRD of ${kind} lacks ${missing.join(', ')}`);
  const { annotate, assertUsed } = annotationsOf(kind);
  const body = emitSchema(served.body, '', (path, emitted) => {
    const changed = annotate(path, emitted);
    // `action:` with nothing behind it may not be read as the default where it decides who gets in.
    const isChoice = group === 'security.istio.io' && changed.enum !== undefined;
    return isChoice ? { ...changed, nullable: true } : changed;
  });
  assertUsed();
  const spec = body.properties?.['spec'];
  if (spec === undefined) throw new CrdError(`${kind} has no spec`);
  return rootSchema(description, spec, body.required ?? []);
}

/** Not served, so nothing reads it: kept as it was written. */
const OPEN: WireSchema = {
  type: 'object',
  nullable: true,
  'x-kubernetes-preserve-unknown-fields': true,
};

/**
 * Unknown fields are kept at the root too: `mtls` beside `spec` instead of inside would be dropped, and
 * the policy would be in force without it.
 */
function rootSchema(
  description: string,
  spec: WireSchema,
  required: readonly string[],
): WireSchema {
  return {
    type: 'object',
    description,
    properties: { spec, status: STATUS },
    ...(required.length === 0 ? {} : { required }),
    'x-kubernetes-preserve-unknown-fields': true,
  };
}

/** Protobuf's JSON writes 64-bit numbers as strings, and so does istiod. */
const GENERATION: WireSchema = { 'x-kubernetes-int-or-string': true };

/** Open, since other controllers report here as well. */
const STATUS: WireSchema = {
  type: 'object',
  description: 'What the controllers say of the object.',
  properties: {
    observedGeneration: GENERATION,
    conditions: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          type: { type: 'string', maxLength: 316 },
          status: { type: 'string' },
          reason: { type: 'string' },
          message: { type: 'string' },
          observedGeneration: GENERATION,
          lastTransitionTime: { type: 'string', format: 'date-time' },
        },
        required: ['type'],
        'x-kubernetes-preserve-unknown-fields': true,
      },
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    },
  },
  'x-kubernetes-preserve-unknown-fields': true,
};
