/**
 * Overlays that people lay over the parts of a waypoint: read from a ConfigMap, merged, and checked.
 *
 * Rule: an overlay changes how a waypoint runs, never what it is: its names, account, selectors and ports stay, and it gets no right
 * on its node; one that is a Gateway's own says no more than `overlay-fields.ts` lists. All that is wrong in one is said at once, by
 * path, and then nothing of it is taken.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Finding, parseYaml } from '@ambit/api';
import type { KubeObject } from '@ambit/kube';
import {
  BECAUSE,
  GATEWAY_CLASS,
  GATEWAY_MANAGED,
  GATEWAY_NAME,
  HBONE_PORT,
  type Json,
  SERVICE_ACCOUNT,
  WAYPOINT_CONTAINER,
} from '../../provision/waypoint-objects.ts';
import { MANAGED_BY } from '../context.ts';
import { checkFields } from './overlay-fields.ts';
import { PART_KINDS, type PartKind, type WaypointPart } from './parts.ts';
import { type MergeProblem, strategicMerge } from './strategic-merge.ts';

/** Of one ConfigMap. */
export type Overlays = Readonly<Partial<Record<PartKind, Json>>>;

export interface Layer {
  readonly overlays: Overlays;
  /** Of whoever runs the mesh, for all of a class; else of whoever writes the Gateway. */
  readonly isOfClass: boolean;
}

const CODE = 'WAYPOINT_PARAMETERS';
const SHOWN_MAX = 80;
const FINDINGS_MAX = 16;
/** Of one overlay. The longest that says something has a few thousand; merging lists takes the square of it. */
const OVERLAY_CHARS_MAX = 32 * 1024;

/** Where overlays may change nothing. `*` is any index. */
const KEPT: Readonly<Record<PartKind, readonly string[]>> = {
  serviceAccount: [],
  // An address of somebody else would be taken away from it on every node.
  service: ['spec.selector', 'spec.externalIPs', 'spec.externalName'],
  podDisruptionBudget: ['spec.selector'],
  deployment: [
    'spec.selector',
    'spec.template.spec.serviceAccountName',
    'spec.template.spec.serviceAccount',
    'spec.template.spec.hostNetwork',
    'spec.template.spec.hostPID',
    'spec.template.spec.hostIPC',
  ],
  horizontalPodAutoscaler: ['spec.scaleTargetRef'],
};
const KEPT_ALWAYS = [
  'apiVersion',
  'kind',
  'metadata.name',
  'metadata.namespace',
  'metadata.ownerReferences',
  'metadata.finalizers',
  'status',
];

const OWN_KEYS: ReadonlySet<string> = new Set([
  ...Object.keys(MANAGED_BY),
  GATEWAY_NAME,
  GATEWAY_CLASS,
  GATEWAY_MANAGED,
  SERVICE_ACCOUNT,
  BECAUSE,
  'istio.io/dataplane-mode',
  'sidecar.istio.io/inject',
]);

/** Problems are in `findings`; then the overlays are not to be used. */
export function parseOverlays(
  data: Readonly<Record<string, string>>,
  findings: Finding[],
): Overlays {
  const overlays: Partial<Record<PartKind, Json>> = {};
  for (const [key, text] of Object.entries(data)) {
    const kind = PART_KINDS.find((known) => known === key);
    if (kind === undefined) {
      complain(findings, {
        path: `data.${key}`,
        message: 'is no part of a waypoint',
        allowed: PART_KINDS.join(', '),
        fix: 'take it out',
      });
    } else {
      const value = parseOverlay(kind, text, findings);
      if (value !== undefined) overlays[kind] = value;
    }
  }
  return overlays;
}

function parseOverlay(kind: PartKind, text: string, findings: Finding[]): Json | undefined {
  if (text.length > OVERLAY_CHARS_MAX) {
    complain(findings, {
      path: `data.${kind}`,
      message: 'is too long',
      found: `${text.length} characters`,
      allowed: `at most ${OVERLAY_CHARS_MAX}`,
    });
    return undefined;
  }
  const { documents, findings: wrong } = parseYaml(text, { source: kind });
  for (const { message, line } of wrong) {
    complain(findings, { path: `data.${kind}`, message: `line ${line} ${message}` });
  }
  const [document] = documents;
  const value = document?.value ?? {};
  if (wrong.length > 0) return undefined;
  if (documents.length > 1 || typeof value !== 'object' || Array.isArray(value)) {
    complain(findings, {
      path: `data.${kind}`,
      message: 'is no overlay',
      found: documents.length > 1 ? `${documents.length} documents` : shown(value),
      allowed: 'one YAML object',
    });
    return undefined;
  }
  return value as Json;
}

/** The part with one overlay after the other. Problems are in `findings`; then the part is not to be used. */
export function overlaid(
  part: WaypointPart,
  layers: readonly Layer[],
  findings: Finding[],
): WaypointPart {
  const { kind, object } = part;
  const problems: MergeProblem[] = [];
  const beyond: Omit<Finding, 'code' | 'severity'>[] = [];
  const merged = layers.reduce<Json>((base, { overlays, isOfClass }) => {
    const overlay = overlays[kind];
    if (overlay === undefined) return base;
    if (!isOfClass) checkFields(kind, { overlay, base }, (details) => beyond.push(details));
    return strategicMerge(base, overlay, problems);
  }, object);
  for (const problem of problems) {
    complain(findings, { ...problem, path: `${kind}.${problem.path}` });
  }
  for (const path of [...KEPT_ALWAYS, ...KEPT[kind]]) {
    const [before, after] = [valueAt(object, path), valueAt(merged, path)];
    if (!isDeepStrictEqual(before, after)) {
      complain(findings, {
        path: `${kind}.${path}`,
        message: 'is the controller’s',
        found: shown(after),
        allowed: shown(before),
        fix: 'take it out of the overlay',
      });
    }
  }
  // What is the controller's is not for the class either.
  const said = new Set(findings.map(({ path }) => path));
  for (const details of beyond.filter(({ path }) => !said.has(path))) complain(findings, details);
  const result = { kind, object: withOwnKeys(merged, object) };
  if (kind === 'deployment') checkPod(merged, findings);
  if (kind === 'service') checkPorts(merged, findings);
  return result;
}

/** Keys by which parts are found again are put back, not complained of: they often come with a copied object. */
function withOwnKeys(merged: Json, own: KubeObject): KubeObject {
  // Without it the part is refused, and is one all the same.
  const written = isJson(merged['metadata']) ? (merged as KubeObject).metadata : own.metadata;
  const metadata = {
    ...written,
    labels: { ...written.labels, ...ownOf(own.metadata.labels) },
    annotations: { ...written.annotations, ...ownOf(own.metadata.annotations) },
  };
  const template = valueAt(merged, 'spec.template');
  if (!isJson(template)) return { ...merged, metadata };
  const podMetadata = isJson(template['metadata']) ? template['metadata'] : {};
  const podLabels = isJson(podMetadata['labels']) ? podMetadata['labels'] : {};
  const ownLabels = ownOf(valueAt(own, 'spec.template.metadata.labels'));
  const labels = { ...podLabels, ...ownLabels };
  const spec = {
    ...(merged['spec'] as Json),
    template: { ...template, metadata: { ...podMetadata, labels } },
  };
  return { ...merged, metadata, spec };
}

function ownOf(texts: unknown): Readonly<Record<string, string>> {
  const own = Object.entries(isJson(texts) ? texts : {}).filter(([key]) => OWN_KEYS.has(key));
  return Object.fromEntries(own) as Readonly<Record<string, string>>;
}

function checkPod(deployment: Json, findings: Finding[]): void {
  const pod = 'spec.template.spec';
  const containers = listAt(deployment, `${pod}.containers`);
  if (!containers.some((container) => valueAt(container, 'name') === WAYPOINT_CONTAINER)) {
    complain(findings, {
      path: `deployment.${pod}.containers`,
      message: 'lacks the waypoint',
      allowed: `containers beside "${WAYPOINT_CONTAINER}"`,
    });
  }
}

function checkPorts(service: Json, findings: Finding[]): void {
  const ports = listAt(service, 'spec.ports');
  if (!ports.some((port) => valueAt(port, 'port') === HBONE_PORT)) {
    complain(findings, {
      path: 'service.spec.ports',
      message: 'lacks the port of tunnels',
      allowed: `ports beside ${HBONE_PORT}`,
    });
  }
}

export function complain(findings: Finding[], details: Omit<Finding, 'code' | 'severity'>): void {
  if (findings.length < FINDINGS_MAX) {
    findings.push({ code: CODE, severity: 'error', ...details });
  }
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, SHOWN_MAX);
}

function listAt(root: unknown, path: string): readonly unknown[] {
  const value = valueAt(root, path);
  return Array.isArray(value) ? value : [];
}

export function valueAt(root: unknown, path: string): unknown {
  let value = root;
  for (const field of path.split('.')) {
    value = isJson(value) && Object.hasOwn(value, field) ? value[field] : undefined;
  }
  return value;
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
