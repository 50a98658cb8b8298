/**
 * Errors for people: what went wrong, why, and how to fix it. Anything else that is thrown and is no
 * MeshError is a bug of ours.
 */

export const EXIT = {
  ok: 0,
  /** A finding, a refusal, or something that the user can change. */
  finding: 1,
  usage: 2,
  /** The controller does not answer. */
  unavailable: 69,
  bug: 70,
} as const;

export interface UserErrorOptions {
  readonly why?: string;
  readonly fix?: string;
  readonly exitCode?: number;
  readonly cause?: unknown;
}

export class UserError extends Error {
  override readonly name: string = 'UserError';
  readonly why: string | undefined;
  readonly fix: string | undefined;
  readonly exitCode: number;

  constructor(message: string, options: UserErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.why = options.why;
    this.fix = options.fix;
    this.exitCode = options.exitCode ?? EXIT.finding;
  }
}

export function formatUserError(error: UserError): string {
  return [
    `meshctl: ${error.message}`,
    ...(error.why === undefined ? [] : [`  why: ${error.why}`]),
    ...(error.fix === undefined ? [] : [`  fix: ${error.fix}`]),
    '',
  ].join('\n');
}
