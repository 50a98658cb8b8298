/**
 * What a token says of itself, before anybody was asked. Nothing of it is believed: it only spares questions about
 * what cannot be good, and says how long a good answer may be kept.
 */
import { IdentityError } from '@ambit/identity';

const TOKEN_LENGTH_MAX = 16 * 1024;
const CLOCK_TOLERANCE_MS = 60_000;
const SHAPE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

export interface TokenClaims {
  readonly expiresAtMs: number;
}

/** Throws IDENTITY_TOKEN_INVALID for what is no JWT with an end, and for one that has ended. */
export function claimsOf(
  token: string,
  { wallNowMs }: { readonly wallNowMs: number },
): TokenClaims {
  if (token.length > TOKEN_LENGTH_MAX) {
    throw invalid(`longer than ${TOKEN_LENGTH_MAX} characters`);
  }
  if (!SHAPE.test(token)) {
    throw invalid('it is no JWT');
  }
  const expiresAtMs = endOf(token.split('.')[1] ?? '') * 1000;
  if (expiresAtMs + CLOCK_TOLERANCE_MS <= wallNowMs) {
    throw invalid(`it expired at ${new Date(expiresAtMs).toISOString()}`);
  }
  return { expiresAtMs };
}

/** Seconds since the epoch. */
function endOf(payload: string): number {
  let claims: unknown;
  try {
    claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
  } catch {
    // The parser's message would quote the token.
    throw invalid('its payload is no JSON');
  }
  const end = (claims as { readonly exp?: unknown } | null)?.exp;
  if (typeof end !== 'number' || !(end > 0 && end < 8e12)) {
    throw invalid('it says no time at which it ends');
  }
  return end;
}

export function invalid(why: string): IdentityError {
  return new IdentityError('IDENTITY_TOKEN_INVALID', `token refused: ${why}`, {
    side: 'downstream',
  });
}
