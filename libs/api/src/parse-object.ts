/**
 * One object from JSON to its official form, or every reason why not, at once.
 *
 * Order: identify, bound, drop nulls, rewrite dialects, set aside what is not supported, schema, rules.
 * Never throws: the input is whatever a person or a peer sent.
 */
import { nullsDropped } from './bounds.ts';
import { rewriteDialects } from './dialect/rewrite.ts';
import { semanticFindings } from './rules/rules.ts';
import { findingAt, findingsOfIssue } from './schema/issues.ts';
import {
  definitionOf,
  type KindDefinition,
  supportedKinds,
  unsupportedKindHint,
} from './schema/kinds.ts';
import { metadata as metadataSchema } from './schema/metadata.ts';
import type { Finding, ObjectKey } from './types/finding.ts';
import type { MeshObject } from './types/mesh-object.ts';
import { setAsideUnsupported } from './unsupported.ts';
import { objectKey } from './value/object-key.ts';
import { formatPath, isRecord, type Path } from './value/path.ts';
import { withRegexBudget } from './value/regex.ts';
import { nearestName } from './value/suggest.ts';

export interface ParseContext {
  /** Namespace of objects that name none. Default `default`. */
  readonly defaultNamespace?: string;
}

/** A kind of a mesh that is known but not served; it stays visible with this condition. */
export interface UnsupportedObject {
  readonly kind: string;
  readonly apiVersion: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly condition: {
    readonly type: 'Accepted';
    readonly status: 'False';
    readonly reason: 'UnsupportedKind';
    readonly message: string;
  };
}

export interface ParseResult {
  /** Absent if any finding is an error. */
  readonly object?: MeshObject;
  readonly unsupported?: UnsupportedObject;
  /** Set as soon as kind and name can be read, also for objects that are refused. */
  readonly key?: ObjectKey;
  readonly findings: readonly Finding[];
}

/** Parses one Kubernetes-shaped object. */
export function parseObject(value: unknown, context: ParseContext = {}): ParseResult {
  return withRegexBudget(() => parseWithinBudget(value, context));
}

function parseWithinBudget(value: unknown, context: ParseContext): ParseResult {
  const bounded = nullsDropped(value);
  if (bounded.kind === 'error') return { findings: [bounded.finding] };
  const root = bounded.value;
  if (!isRecord(root)) {
    return {
      findings: [
        wholeObject('error', 'NOT_AN_OBJECT', 'is not an object with apiVersion and kind'),
      ],
    };
  }
  const { apiVersion, kind } = root;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') {
    const missing = [
      ...(typeof apiVersion === 'string' ? [] : ['apiVersion']),
      ...(typeof kind === 'string' ? [] : ['kind']),
    ];
    return {
      findings: missing.map((field) =>
        findingAt(root, {
          code: 'REQUIRED_FIELD',
          path: [field],
          message: 'is required and must be a string',
        }),
      ),
    };
  }
  const { group, version } = splitApiVersion(apiVersion);
  const definition = definitionOf(group, kind);
  if (definition === undefined) return parseForeign(root, { group, kind, apiVersion }, context);
  const identity = identityOf(root, definition, context);
  if (!definition.versions.includes(version)) {
    const finding = findingAt(root, {
      code: 'UNSUPPORTED_VERSION',
      path: ['apiVersion'],
      message: `is no served version of ${kind}`,
      allowed: definition.versions
        .map((served) => (group === '' ? served : `${group}/${served}`))
        .join(', '),
    });
    return {
      ...identity,
      findings: [finding, ...parseKnown(root, definition, context, bounded.nulls).findings],
    };
  }
  return { ...identity, ...parseKnown(root, definition, context, bounded.nulls) };
}

function splitApiVersion(apiVersion: string): { readonly group: string; readonly version: string } {
  const slash = apiVersion.indexOf('/');
  return slash < 0
    ? { group: '', version: apiVersion }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

function identityOf(
  root: Readonly<Record<string, unknown>>,
  scope: { readonly kind: string; readonly isNamespaced: boolean },
  context: ParseContext,
): { readonly key?: ObjectKey } {
  const metadata = root['metadata'];
  if (!isRecord(metadata) || typeof metadata['name'] !== 'string' || metadata['name'] === '')
    return {};
  const { name, namespace: written } = metadata;
  const namespace = namespaceOf(typeof written === 'string' ? written : '', scope, context);
  return { key: objectKey({ kind: scope.kind, metadata: { name, namespace } }) };
}

function namespaceOf(
  written: string,
  scope: { readonly isNamespaced: boolean },
  context: ParseContext,
): string {
  if (!scope.isNamespaced) return '';
  return written === '' ? (context.defaultNamespace ?? 'default') : written;
}

function parseKnown(
  written: Record<string, unknown>,
  definition: KindDefinition,
  context: ParseContext,
  nulls: readonly Path[],
): { readonly object?: MeshObject; readonly findings: readonly Finding[] } {
  const dialect = rewriteDialects(definition.kind, written);
  const aside = setAsideUnsupported(definition.kind, dialect.value);
  const root = aside.value;
  const raw: Finding[] = [];
  const metadata = metadataSchema.safeParse(root['metadata']);
  const body = definition.body.safeParse(bodyOf(root, definition));
  const prefixed = [
    ...(metadata.error?.issues ?? []).map((issue) => ({
      ...issue,
      path: ['metadata', ...issue.path],
    })),
    ...(body.error?.issues ?? []),
  ];
  for (const issue of prefixed) raw.push(...findingsOfIssue(root, issue, definition.fields));
  if (definition.isMeshKind) raw.push(...semanticFindings(definition.kind, root));
  const findings = dedupe([
    ...emptyFields(definition, nulls),
    ...dialect.findings,
    ...aside.findings,
    ...raw.map(dialect.asWritten).filter(({ path }) => !dialect.isExplained(path)),
  ]);
  if (!metadata.success || !body.success || findings.some(({ severity }) => severity === 'error')) {
    return { findings };
  }
  const object = {
    kind: definition.kind,
    apiVersion: String(root['apiVersion']),
    metadata: {
      ...metadata.data,
      namespace: namespaceOf(metadata.data.namespace, definition, context),
    },
    ...body.data,
  };
  // The kind's schema is the type of that kind (see `schema/kinds.ts`), which a map cannot express.
  return { object: object as unknown as MeshObject, findings };
}

/**
 * Fields without a value. Kubernetes drops them, so that `from:` with nothing below would mean "from
 * anyone": in a security object that is refused.
 */
function emptyFields(definition: KindDefinition, nulls: readonly Path[]): readonly Finding[] {
  if (!definition.isMeshKind) return [];
  const severity = definition.group === 'security.istio.io' ? 'error' : 'warning';
  return nulls
    .filter((path) => path[0] === 'spec' && path.length > 1)
    .map((path) => ({
      code: 'EMPTY_FIELD',
      severity,
      path: formatPath(path),
      message: 'has no value and would be read as absent',
      fix: 'give it a value or remove it',
    }));
}

/** What the body's schema reads: everything else of a mesh object is an unknown field. */
function bodyOf(root: Record<string, unknown>, definition: KindDefinition): unknown {
  const { apiVersion: _apiVersion, kind: _kind, metadata, status, ...rest } = root;
  if (definition.isMeshKind) return rest;
  const deletion = isRecord(metadata) ? metadata['deletionTimestamp'] : undefined;
  return {
    ...rest,
    ...(status === undefined ? {} : { status }),
    ...(deletion === undefined ? {} : { deletionTimestamp: deletion }),
  };
}

/** Schema and rules may say the same; errors first, otherwise in the order found. */
function dedupe(findings: readonly Finding[]): readonly Finding[] {
  const seen = new Set<string>();
  const kept = findings.filter((finding) => {
    const what = finding.code === 'REQUIRED_FIELD' ? '' : finding.message;
    const id = `${finding.path}\n${finding.code}\n${what}`;
    if (seen.has(id)) return false;
    seen.add(id);
    return true;
  });
  const rank = { error: 0, warning: 1, info: 2 } as const;
  return kept.sort((a, b) => rank[a.severity] - rank[b.severity]);
}

/** Objects of other kinds: of a mesh but not served, misspelt, or nothing to do with it. */
function parseForeign(
  root: Record<string, unknown>,
  type: { readonly group: string; readonly kind: string; readonly apiVersion: string },
  context: ParseContext,
): ParseResult {
  const { group, kind, apiVersion } = type;
  const identity = identityOf(root, { kind, isNamespaced: kind !== 'GatewayClass' }, context);
  const hint = unsupportedKindHint(group, kind);
  if (hint !== undefined) {
    const finding = wholeObject('warning', 'UNSUPPORTED_KIND', `${kind} has no effect: ${hint}`);
    const [name = '', namespace = ''] = identity.key?.split('/').slice(1).toReversed() ?? [];
    const condition = {
      type: 'Accepted',
      status: 'False',
      reason: 'UnsupportedKind',
      message: `${kind} has no effect: ${hint}`,
    } as const;
    if (identity.key === undefined) return { findings: [finding] };
    const unsupported = { kind, apiVersion, metadata: { name, namespace }, condition };
    return { ...identity, unsupported, findings: [finding] };
  }
  const isMeshGroup = supportedKinds().some((known) => known.isMeshKind && known.group === group);
  const home = supportedKinds().find((known) => known.isMeshKind && known.kind === kind);
  if (home !== undefined && kind !== 'Gateway') {
    return {
      ...identity,
      findings: [
        findingAt(root, {
          code: 'UNSUPPORTED_VERSION',
          path: ['apiVersion'],
          message: `is not the group of ${kind}`,
          allowed: home.versions.map((served) => `${home.group}/${served}`).join(', '),
        }),
      ],
    };
  }
  if (isMeshGroup) {
    const near = nearestName(
      kind,
      supportedKinds()
        .filter((known) => known.group === group)
        .map((known) => known.kind),
    );
    return {
      ...identity,
      findings: [
        findingAt(root, {
          code: 'UNKNOWN_KIND',
          path: ['kind'],
          message: `is not a kind of ${group}`,
          ...(near === undefined ? {} : { fix: `did you mean ${near}?` }),
        }),
      ],
    };
  }
  return {
    ...identity,
    findings: [wholeObject('info', 'NOT_A_MESH_OBJECT', `${kind} is not read by the mesh`)],
  };
}

function wholeObject(severity: Finding['severity'], code: string, message: string): Finding {
  return { code, severity, path: '', message };
}
