/**
 * Rules of what an AuthorizationPolicy asks of requests. A value that no request can have is an error where it lets requests through: in
 * a DENY it would protect nothing. Elsewhere it is one only if no other value is left.
 */
import { parseAuthority } from '../value/authority.ts';
import { type PathPart, pathTextProblem } from '../value/path-literal.ts';
import { pathTemplateProblem } from './path-template.ts';
import type { Complaint, View } from './view.ts';

type Problem = Pick<Complaint, 'message' | 'allowed' | 'fix'>;

const FIELDS = {
  paths: { code: 'INVALID_PATH', problemOf: pathProblem },
  hosts: { code: 'INVALID_HOST', problemOf: hostProblem },
} as const;

/** Of an operation's `paths` and `hosts`, and of what they are not. */
export function operationRules(operation: View, action: string): void {
  for (const field of ['paths', 'hosts'] as const) {
    const not = field === 'paths' ? 'notPaths' : 'notHosts';
    valueRules(operation.at(field), field, isOpening(action, { isNot: false }));
    valueRules(operation.at(not), field, isOpening(action, { isNot: true }));
  }
  for (const field of ['paths', 'notPaths']) operation.at(field).items.forEach(patternRules);
}

/** Rules of the values of `request.headers[host]`. */
export function hostRules(hosts: View, opening: boolean): void {
  valueRules(hosts, 'hosts', opening);
}

/** Whether a condition that never holds lets requests through. AUDIT lets through whatever it says. */
export function isOpening(action: string, { isNot }: { readonly isNot: boolean }): boolean {
  return action !== 'AUDIT' && (action === 'ALLOW') === isNot;
}

function valueRules(list: View, field: keyof typeof FIELDS, opening: boolean): void {
  const { code, problemOf } = FIELDS[field];
  const problems = list.items.map(({ text }) => (text === undefined ? undefined : problemOf(text)));
  const isLeft = problems.includes(undefined);
  list.items.forEach((item, index) => {
    const problem = problems[index];
    if (problem === undefined) return;
    const severity: Complaint['severity'] = opening || !isLeft ? 'error' : 'warning';
    item.complain({ code, severity, ...problem });
  });
}

/** A request with such a host is refused before any policy. */
function hostProblem(value: string): Problem | undefined {
  // That it is empty is said already.
  if (value === '' || value.includes('*')) return undefined;
  if (parseAuthority(value) !== undefined) return undefined;
  return {
    message: 'never matches: a request with such a host is refused',
    allowed:
      'a name, four numbers from 0 to 255 without leading zeros, or an IPv6 address in brackets, with or without a port from 1 to 65535',
  };
}

/** Of what stands beside the star of a pattern. */
function pathProblem(value: string): Problem | undefined {
  const [part, text] = partOf(value);
  const problem = value === '*' ? undefined : pathTextProblem(text, part);
  if (problem === undefined) return undefined;
  const { instead, ...rest } = problem;
  if (instead === undefined) return rest;
  const [before, behind] = [part === 'suffix' ? '*' : '', part === 'prefix' ? '*' : ''];
  return { ...rest, fix: `write ${before}${instead}${behind}` };
}

function partOf(value: string): readonly [PathPart, string] {
  if (/\{\*{1,2}\}/.test(value)) return ['whole', value];
  if (value.startsWith('*')) return ['suffix', value.slice(1)];
  return value.endsWith('*') ? ['prefix', value.slice(0, -1)] : ['whole', value];
}

function patternRules(path: View): void {
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
  const problem = pathTemplateProblem(value);
  if (problem !== undefined) {
    path.complain({
      code: 'INVALID_PATH',
      message: problem,
      allowed: 'exact, prefix*, *suffix, or a template with {*} for a segment and {**} at the end',
    });
  }
}
