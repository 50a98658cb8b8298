/**
 * AdmissionReview v1 (admission.k8s.io): what an API server asks, and the answer.
 *
 * Bodies are not trusted: whoever reaches the port may send one. Nothing here throws on any bytes.
 */

/** What an API server lets a client see of a warning without cutting it. */
const WARNING_LENGTH_MAX = 240;
const WARNINGS_MAX = 15;
const CAUSES_MAX = 50;
const MESSAGE_LENGTH_MAX = 8_192;
const HEAD_BYTES = 4_096;

export interface AdmissionRequest {
  readonly uid: string;
  readonly operation: string;
  readonly dryRun: boolean;
  /** '' for an object of the cluster. */
  readonly namespace: string;
  readonly name: string;
  readonly group: string;
  readonly version: string;
  /** Plural, as in URLs. */
  readonly resource: string;
  readonly user: string;
  /** What is to be stored; undefined for a deletion. */
  readonly object: Readonly<Record<string, unknown>> | undefined;
  readonly oldObject: Readonly<Record<string, unknown>> | undefined;
}

/** Everything of a request but the objects, for logs and metrics. */
export type AdmissionFacts = Omit<AdmissionRequest, 'object' | 'oldObject'>;

export type ParsedReview =
  | { readonly kind: 'ok'; readonly request: AdmissionRequest }
  | { readonly kind: 'error'; readonly message: string };

/** Why a verdict is what it is; a closed list, for metrics. */
export type VerdictReason =
  | 'valid'
  | 'foreign'
  | 'deleting'
  | 'unchanged'
  | 'not-checked'
  | 'invalid_resource'
  | 'deadline_exceeded';

export interface Cause {
  /** Path of the field; '' for the whole object. */
  readonly field: string;
  readonly message: string;
}

export interface Verdict {
  readonly allowed: boolean;
  readonly reason: VerdictReason;
  /** Why not; empty if allowed. */
  readonly causes: readonly Cause[];
  /** Shown to the author by kubectl. */
  readonly warnings: readonly string[];
}

/** Reads the JSON of an AdmissionReview. */
export function parseReview(body: Uint8Array): ParsedReview {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    // The message of the parser quotes the body; whoever sent it knows it.
    return { kind: 'error', message: 'the body is not JSON in UTF-8' };
  }
  const review = record(json);
  if (review?.['apiVersion'] !== 'admission.k8s.io/v1' || review['kind'] !== 'AdmissionReview') {
    return { kind: 'error', message: 'the body is no AdmissionReview of admission.k8s.io/v1' };
  }
  const request = record(review['request']);
  const uid = text(request?.['uid']);
  if (request === undefined || uid === '') {
    return { kind: 'error', message: 'the review has no request with a uid' };
  }
  const resource = record(request['resource']);
  return {
    kind: 'ok',
    request: {
      uid,
      operation: text(request['operation']),
      dryRun: request['dryRun'] === true,
      namespace: text(request['namespace']),
      name: text(request['name']),
      group: text(resource?.['group']),
      version: text(resource?.['version']),
      resource: text(resource?.['resource']),
      user: text(record(request['userInfo'])?.['username']),
      object: record(request['object']),
      oldObject: record(request['oldObject']),
    },
  };
}

/** The AdmissionReview that answers `uid`. */
export function formatAnswer(uid: string, { allowed, causes, warnings }: Verdict): string {
  const shown = warnings.slice(0, WARNINGS_MAX).map((warning) => cut(warning, WARNING_LENGTH_MAX));
  const more = warnings.length - shown.length;
  if (more > 0) shown.push(`and ${more} more; meshctl validate shows all`);
  const response = {
    uid,
    allowed,
    ...(shown.length === 0 ? {} : { warnings: shown }),
    ...(allowed ? {} : { status: refusal(causes) }),
  };
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response });
}

function refusal(causes: readonly Cause[]): unknown {
  const message = cut(causes.map((cause) => cause.message).join('\n'), MESSAGE_LENGTH_MAX);
  return {
    status: 'Failure',
    code: 422,
    reason: 'Invalid',
    message,
    details: {
      causes: causes.slice(0, CAUSES_MAX).map(({ field, message: said }) => ({
        reason: 'FieldValueInvalid',
        ...(field === '' ? {} : { field }),
        message: cut(said, WARNING_LENGTH_MAX * 4),
      })),
    },
  };
}

/** What can be said of a review without reading the objects in it. */
export interface ReviewHead {
  readonly uid: string;
  readonly namespace: string;
}

/**
 * Uid and namespace by their place in the text: API servers write them before the objects. Good enough to
 * take turns by, and to answer for an object that is too slow to read; nothing is decided by it.
 */
export function reviewHead(body: Uint8Array): ReviewHead {
  const start = new TextDecoder().decode(body.subarray(0, HEAD_BYTES));
  const border = start.search(/"(?:object|userInfo)"\s*:/);
  const head = border < 0 ? start : start.slice(0, border);
  const find = (key: string): string =>
    new RegExp(`"${key}"\\s*:\\s*"([^"\\\\]{1,253})"`).exec(head)?.[1] ?? '';
  return { uid: find('uid'), namespace: find('namespace') };
}

function cut(said: string, length: number): string {
  return said.length <= length ? said : `${said.slice(0, length - 1)}…`;
}

function record(value: unknown): Record<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return value as Record<string, unknown>;
}

/** Names in Kubernetes have at most 253 characters; what is longer is none. */
function text(value: unknown): string {
  return typeof value === 'string' && value.length <= 1_024 ? value : '';
}
