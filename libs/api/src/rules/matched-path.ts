/** Rules of paths that a route matches. Only a warning: what matches nothing takes nothing from the other rules of the object. */
import { type PathPart, pathTextProblem } from '../value/path-literal.ts';
import type { View } from './view.ts';

export function matchedPathRules(path: View, part: PathPart): void {
  const problem = path.text === undefined ? undefined : pathTextProblem(path.text, part);
  if (problem === undefined) return;
  const { instead, ...rest } = problem;
  path.complain({
    code: 'INVALID_PATH',
    severity: 'warning',
    ...rest,
    ...(instead === undefined ? {} : { fix: `write ${instead}` }),
  });
}
