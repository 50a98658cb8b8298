/**
 * Errors of the Kubernetes API and of the way to it.
 *
 * `retryable` keeps its meaning: repeating cannot act twice. So a failed read is retryable and a failed
 * write is only when the server said that it did nothing (429) or was never reached.
 */
import { MeshError } from '@ambit/core';

export type KubeErrorCode =
  | 'KUBE_CONFIG_INVALID'
  | 'KUBE_CREDENTIALS_UNAVAILABLE'
  | 'KUBE_CONNECTION_FAILED'
  | 'KUBE_TIMEOUT'
  | 'KUBE_PROTOCOL'
  | 'KUBE_TOO_LARGE'
  | 'KUBE_BAD_REQUEST'
  | 'KUBE_UNAUTHORIZED'
  | 'KUBE_FORBIDDEN'
  | 'KUBE_NOT_FOUND'
  | 'KUBE_ALREADY_EXISTS'
  | 'KUBE_CONFLICT'
  | 'KUBE_GONE'
  | 'KUBE_INVALID'
  | 'KUBE_TOO_MANY_REQUESTS'
  | 'KUBE_UNAVAILABLE'
  | 'KUBE_STOPPED';

/** One field that the server refused (`Status.details.causes`). */
export interface KubeErrorCause {
  readonly field: string;
  readonly reason: string;
  readonly message: string;
}

export interface KubeErrorOptions {
  /** The HTTP status, or 0 if there was no answer. */
  readonly status?: number;
  /** `Status.reason` of the server, like `AlreadyExists`. */
  readonly reason?: string;
  readonly retryAfterMs?: number;
  readonly causes?: readonly KubeErrorCause[];
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

export class KubeError extends MeshError<KubeErrorCode> {
  override readonly name = 'KubeError';
  readonly status: number;
  readonly reason: string;
  /** What the server asked to wait, undefined if it did not. */
  readonly retryAfterMs: number | undefined;
  readonly causes: readonly KubeErrorCause[];

  constructor(code: KubeErrorCode, message: string, options: KubeErrorOptions = {}) {
    const side =
      code === 'KUBE_CONFIG_INVALID' || code === 'KUBE_STOPPED' ? 'local' : 'control-plane';
    super(code, message, { side, retryable: options.retryable ?? false, cause: options.cause });
    this.status = options.status ?? 0;
    this.reason = options.reason ?? '';
    this.retryAfterMs = options.retryAfterMs;
    this.causes = options.causes ?? [];
  }
}

/** True for a KubeError of one of the codes. */
export function isKubeError(
  error: unknown,
  ...codes: readonly KubeErrorCode[]
): error is KubeError {
  return error instanceof KubeError && (codes.length === 0 || codes.includes(error.code));
}

const CODES: Readonly<Record<number, KubeErrorCode>> = {
  401: 'KUBE_UNAUTHORIZED',
  403: 'KUBE_FORBIDDEN',
  404: 'KUBE_NOT_FOUND',
  408: 'KUBE_TIMEOUT',
  409: 'KUBE_CONFLICT',
  410: 'KUBE_GONE',
  413: 'KUBE_TOO_LARGE',
  422: 'KUBE_INVALID',
  429: 'KUBE_TOO_MANY_REQUESTS',
};
const CAUSES_MAX = 32;
const TEXT_MAX = 300;

export interface ErrorAnswer {
  readonly status: number;
  /** The body as text, a `Status` object in JSON if it is the API server's own. */
  readonly body: string;
  readonly retryAfter?: string | undefined;
  /** `GET /api/v1/pods`, for the message. */
  readonly what: string;
  readonly isRead: boolean;
}

/** The error that an answer outside of 2xx stands for. */
export function errorFromAnswer({
  status,
  body,
  retryAfter,
  what,
  isRead,
}: ErrorAnswer): KubeError {
  const fields = parseStatus(body);
  const reason = textOf(fields['reason']);
  const message = (textOf(fields['message']) || body.trim() || 'no message').slice(0, TEXT_MAX);
  const seconds = Number(retryAfter ?? 'no');
  return new KubeError(codeOf(status, reason), `${what}: ${status} ${reason}: ${message}`, {
    status,
    reason,
    causes: causesOf(fields['details']),
    retryable: status === 429 || (isRead && status >= 500),
    ...(seconds >= 0 ? { retryAfterMs: seconds * 1000 } : {}),
  });
}

/** The error that a `Status` object inside a watch stands for. */
export function errorFromStatus(status: unknown, what: string): KubeError {
  const code = (status as { code?: unknown } | null)?.code;
  return errorFromAnswer({
    status: typeof code === 'number' ? code : 500,
    body: JSON.stringify(status),
    what,
    isRead: true,
  });
}

function codeOf(status: number, reason: string): KubeErrorCode {
  if (reason === 'AlreadyExists') {
    return 'KUBE_ALREADY_EXISTS';
  }
  return CODES[status] ?? (status >= 500 ? 'KUBE_UNAVAILABLE' : 'KUBE_BAD_REQUEST');
}

function parseStatus(body: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    // A proxy's page or nothing: the text itself is shown instead.
    return {};
  }
}

function causesOf(details: unknown): KubeErrorCause[] {
  const causes = (details as { causes?: unknown } | null | undefined)?.causes;
  if (!Array.isArray(causes)) {
    return [];
  }
  return causes.slice(0, CAUSES_MAX).map((cause: Record<string, unknown> | null) => ({
    field: textOf(cause?.['field']),
    reason: textOf(cause?.['reason']),
    message: textOf(cause?.['message']).slice(0, TEXT_MAX),
  }));
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
