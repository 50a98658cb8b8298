/**
 * From the answer to a TokenReview to the caller it names. Everything must be there and agree; the first thing that is
 * wrong is the reason.
 */
import { type IdentityError, parseSpiffeId, type TokenCaller } from '@ambit/identity';

import { invalid, type TokenClaims } from './token-claims.ts';

const SUBJECT = /^system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})$/;
const ACCOUNTS_GROUP = 'system:serviceaccounts';
const EXTRA = 'authentication.kubernetes.io';
const TEXT_MAX = 200;

interface Fields {
  readonly [name: string]: unknown;
}

/** Throws IDENTITY_TOKEN_INVALID. */
export function callerOfReview(
  answer: unknown,
  { claims, audiences }: { readonly claims: TokenClaims; readonly audiences: readonly string[] },
): TokenCaller {
  const status = fields(fields(answer)['status']);
  if (status['authenticated'] !== true) {
    throw notAuthenticated(status['error'], audiences);
  }
  // A server that does not know of audiences authenticates for its own (authentication/v1, TokenReviewSpec).
  const agreed = texts(status['audiences']);
  if (!agreed.some((audience) => audiences.includes(audience))) {
    throw invalid(`it is for ${list(agreed)}, not for ${list(audiences)}`);
  }
  const user = fields(status['user']);
  const [, namespace, serviceAccount] = SUBJECT.exec(text(user['username'])) ?? [];
  if (namespace === undefined || serviceAccount === undefined) {
    throw invalid('it is not of a service account');
  }
  if (!texts(user['groups']).includes(ACCOUNTS_GROUP)) {
    throw invalid(`its user is not in the group ${ACCOUNTS_GROUP}`);
  }
  parseSpiffeId(`spiffe://td/ns/${namespace}/sa/${serviceAccount}`);
  const extra = fields(user['extra']);
  const pod = { name: only(extra, 'pod-name'), uid: only(extra, 'pod-uid') };
  if (pod.name === '' || pod.uid === '') {
    throw invalid(`the token of ${namespace}/${serviceAccount} is not bound to a pod`);
  }
  return {
    namespace,
    serviceAccount,
    pod,
    node: only(extra, 'node-name'),
    expiresAtMs: claims.expiresAtMs,
  };
}

function notAuthenticated(error: unknown, audiences: readonly string[]): IdentityError {
  const why = text(error).slice(0, TEXT_MAX);
  // The server has one answer for both; only its text tells them apart.
  return /audience/i.test(why)
    ? invalid(`it is not for ${list(audiences)} (${why})`)
    : invalid(`the API server does not authenticate it${why === '' ? '' : ` (${why})`}`);
}

/** The one value of an extra; empty when there is none, or not exactly one. */
function only(extra: Fields, name: string): string {
  const [value = '', second] = texts(extra[`${EXTRA}/${name}`]);
  return second === undefined ? value : '';
}

function list(audiences: readonly string[]): string {
  return audiences.length === 0 ? 'the API server' : audiences.join(', ').slice(0, TEXT_MAX);
}

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
