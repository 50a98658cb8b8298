/**
 * Rules of what an AuthorizationPolicy asks of requests. A value that no request can have is an error: in a DENY it would protect nothing.
 */
import { canonicalIp, endsInNumber } from '../value/ip.ts';
import { pathTemplateProblem } from './path-template.ts';
import { percentEncoded } from './sent-text.ts';
import type { View } from './view.ts';

/** A request with such a host is refused before any policy. */
export function hostRules(host: View): void {
  const value = host.text;
  if (value === undefined || value.includes('*')) return;
  const name = value.replace(/:\d*$/, '');
  if (!endsInNumber(name) || canonicalIp(name) !== undefined) return;
  host.complain({
    code: 'INVALID_HOST',
    message: 'never matches: an address is compared in its one spelling',
    allowed: 'four numbers from 0 to 255 without leading zeros, with or without a port, or a name',
  });
}

/** A pattern of a path that some request can have. */
export function pathRules(path: View): void {
  const value = path.text;
  if (value === undefined) return;
  if (value.includes('?')) {
    path.complain({
      code: 'INVALID_VALUE',
      severity: 'warning',
      message: 'has a query, which paths are compared without',
      fix: 'remove everything from the ?',
    });
  }
  if (/[^!-~]/.test(value)) {
    path.complain({
      code: 'INVALID_PATH',
      message: 'never matches: a path in a request is ASCII without blanks',
      allowed: 'others in percent-encoding',
      fix: `write ${percentEncoded(value)}`,
    });
  }
  const problem = pathTemplateProblem(value);
  if (problem !== undefined) {
    path.complain({
      code: 'INVALID_PATH',
      message: problem,
      allowed: 'exact, prefix*, *suffix, or a template with {*} for a segment and {**} at the end',
    });
  }
}
