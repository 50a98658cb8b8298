/**
 * The three steps from one root to the next, as changes of the CA's Secret. Pure.
 *
 *   none        ca-* is A, root-cert.pem is A
 *   distribute  ca-* is A, root-cert.pem is A and B, next-ca-* is B
 *   sign        ca-* is B, root-cert.pem is B and A
 *   none        ca-* is B, root-cert.pem is B
 *
 * In each step the roots of the step before, and of the step after, verify every certificate that is signed; so no two
 * proxies that are at most one step apart refuse each other. The bundle's text changes in every step (its order
 * counts), which is what proxies follow.
 */
import type { Clock } from '@ambit/core';
import { CertificateAuthority, createOwnRoot } from '@ambit/identity';
import type { AdminRotationStep } from '@ambit/model';

import { ControllerError } from '../../errors.ts';
import { CA_KEYS, type CaSecret, caTextsOf, ROTATION_ANNOTATION } from './ca-secret.ts';

export const NEXT_KEYS = { certificate: 'next-ca-cert.pem', key: 'next-ca-key.pem' } as const;
/** When the step began, RFC 3339. */
export const SINCE_ANNOTATION = 'ambit.io/ca-rotation-since';

export type RotationMove = 'distribute' | 'sign' | 'finish';

/** Null takes a key or an annotation away. */
export interface SecretChange {
  readonly move: RotationMove | 'abort';
  readonly values: Readonly<Record<string, string | null>>;
  readonly annotations: Readonly<Record<string, string | null>>;
}

const MOVES: Readonly<Record<AdminRotationStep, RotationMove>> = {
  none: 'distribute',
  distribute: 'sign',
  sign: 'finish',
};

/** Throws CONTROLLER_CA_SECRET_INVALID for a step that nobody knows. */
export function stepOf({ name, annotations }: CaSecret): AdminRotationStep {
  const step = annotations[ROTATION_ANNOTATION] ?? 'none';
  if (step === 'none' || step === 'distribute' || step === 'sign') return step;
  throw new ControllerError(
    'CONTROLLER_CA_SECRET_INVALID',
    `Secret ${name}: annotation ${ROTATION_ANNOTATION}: it is "${step.slice(0, 80)}", allowed: distribute, sign, or none at all`,
  );
}

export function moveOf(secret: CaSecret): RotationMove {
  return MOVES[stepOf(secret)];
}

/** Throws CONTROLLER_CA_SECRET_INVALID, or what a CertificateAuthority throws, for a Secret that cannot be used. */
export function nextChange(
  secret: CaSecret,
  { nowMs, trustDomain }: { readonly nowMs: number; readonly trustDomain: string },
): SecretChange {
  const texts = caTextsOf(secret);
  const annotations = (step: AdminRotationStep) => ({
    [ROTATION_ANNOTATION]: step === 'none' ? null : step,
    [SINCE_ANNOTATION]: step === 'none' ? null : new Date(nowMs).toISOString(),
  });
  const move = moveOf(secret);
  switch (move) {
    case 'distribute': {
      // Another name than the old one's: verifiers look for issuers by name first.
      const commonName = `root of ${new Date(nowMs).toISOString()}`;
      const made = createOwnRoot({ trustDomain, nowMs, commonName });
      const values = {
        [NEXT_KEYS.certificate]: made.certificate,
        [NEXT_KEYS.key]: made.key,
        [CA_KEYS.roots]: texts.roots + made.roots,
      };
      return { move, values, annotations: annotations('distribute') };
    }
    case 'sign': {
      const next = nextOf(secret);
      const others = texts.roots.replace(next.certificate, '');
      const values = {
        [CA_KEYS.certificate]: next.certificate,
        [CA_KEYS.key]: next.key,
        [CA_KEYS.chain]: '',
        [CA_KEYS.roots]: next.certificate + others,
        [NEXT_KEYS.certificate]: null,
        [NEXT_KEYS.key]: null,
      };
      return { move, values, annotations: annotations('sign') };
    }
    case 'finish':
      return {
        move,
        values: { [CA_KEYS.roots]: texts.certificate },
        annotations: annotations('none'),
      };
  }
}

/** Back to one root, before the next one has signed anything. Undefined: it is too late, or nothing is going on. */
export function abortChange(secret: CaSecret): SecretChange | undefined {
  if (stepOf(secret) !== 'distribute') return undefined;
  const { certificate } = nextOf(secret);
  return {
    move: 'abort',
    values: {
      [CA_KEYS.roots]: caTextsOf(secret).roots.replace(certificate, ''),
      [NEXT_KEYS.certificate]: null,
      [NEXT_KEYS.key]: null,
    },
    annotations: { [ROTATION_ANNOTATION]: null, [SINCE_ANNOTATION]: null },
  };
}

/** The next root as `caTextsOf` would give it, checked. */
function nextOf(secret: CaSecret): { readonly certificate: string; readonly key: string } {
  const { certificate, key } = caTextsOf({
    ...secret,
    values: {
      [CA_KEYS.certificate]: secret.values[NEXT_KEYS.certificate] ?? '',
      [CA_KEYS.key]: secret.values[NEXT_KEYS.key] ?? '',
    },
  });
  return { certificate, key };
}

export function applied(secret: CaSecret, change: SecretChange): CaSecret {
  return {
    ...secret,
    values: merged(secret.values, change.values),
    annotations: merged(secret.annotations, change.annotations),
  };
}

/** Throws if what a change leads to could not be used: it is found before it is written. */
export function checkUsable(
  secret: CaSecret,
  options: { readonly trustDomain: string; readonly clock: Clock },
): void {
  CertificateAuthority.fromTexts({
    ...options,
    defaultTtlSeconds: 60,
    texts: caTextsOf(secret),
  });
}

function merged(
  before: Readonly<Record<string, string>>,
  change: Readonly<Record<string, string | null>>,
): Readonly<Record<string, string>> {
  const after: Record<string, string> = { ...before };
  for (const [key, value] of Object.entries(change)) {
    if (value === null) delete after[key];
    else after[key] = value;
  }
  return after;
}
