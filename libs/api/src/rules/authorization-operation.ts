/** Rules of what an AuthorizationPolicy asks of requests: `to`. */
import { neverMatchingRules } from './never-matching.ts';
import { pathTemplateProblem } from './path-template.ts';
import type { View } from './view.ts';

const FIELDS = [
  ['paths', 'notPaths'],
  ['hosts', 'notHosts'],
  ['methods', 'notMethods'],
] as const;

/** Of an operation's lists, and of what it must not be. */
export function operationRules(operation: View, action: string): void {
  for (const [field, not] of FIELDS) {
    neverMatchingRules({ some: operation.at(field), none: operation.at(not) }, field, action);
  }
  for (const field of ['paths', 'notPaths']) operation.at(field).items.forEach(templateRules);
  for (const field of ['methods', 'notMethods']) operation.at(field).items.forEach(caseRules);
}

function templateRules(path: View): void {
  const value = path.text;
  const problem = value === undefined ? undefined : pathTemplateProblem(value);
  if (problem === undefined) return;
  path.complain({
    code: 'INVALID_PATH',
    message: problem,
    allowed: 'exact, prefix*, *suffix, or a template with {*} for a segment and {**} at the end',
  });
}

function caseRules(method: View): void {
  if (method.text === undefined || !/[a-z]/.test(method.text)) return;
  method.complain({
    code: 'METHOD_CASE',
    message: 'never matches: methods are compared with their case',
    fix: `write ${method.text.toUpperCase()}`,
  });
}
