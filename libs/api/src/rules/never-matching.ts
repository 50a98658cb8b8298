/**
 * Rules of values that no caller and no request can have. One is an error where it lets requests through: in a DENY it would protect
 * nothing. Elsewhere it is one only if no other value is left.
 */
import { parseAuthority } from '../value/authority.ts';
import { isMethod } from '../value/method.ts';
import { type PathPart, pathTextProblem } from '../value/path-literal.ts';
import type { Complaint, View } from './view.ts';

type Problem = Pick<Complaint, 'message' | 'allowed' | 'fix'>;

const FIELDS = {
  headerValues: { code: 'INVALID_VALUE', problemOf: headerValueProblem },
  hosts: { code: 'INVALID_HOST', problemOf: hostProblem },
  methods: { code: 'INVALID_METHOD', problemOf: methodProblem },
  paths: { code: 'INVALID_PATH', problemOf: pathProblem },
  principals: { code: 'PRINCIPAL_NEVER_MATCHES', problemOf: principalProblem },
} as const;

/** Whether a condition that never holds lets requests through. AUDIT lets through whatever it says. */
export function isOpening(action: string, { isNot }: { readonly isNot: boolean }): boolean {
  return action !== 'AUDIT' && (action === 'ALLOW') === isNot;
}

/** Of what is compared with, and of what it must not be. */
export function neverMatchingRules(
  { some, none }: { readonly some: View; readonly none: View },
  field: keyof typeof FIELDS,
  action: string,
): void {
  listRules(some, field, isOpening(action, { isNot: false }));
  listRules(none, field, isOpening(action, { isNot: true }));
}

function listRules(list: View, field: keyof typeof FIELDS, opening: boolean): void {
  const { code, problemOf } = FIELDS[field];
  // That one is empty is said already.
  const problems = list.items.map(({ text = '' }) => (text === '' ? undefined : problemOf(text)));
  const isLeft = problems.includes(undefined);
  list.items.forEach((item, index) => {
    const problem = problems[index];
    if (problem === undefined) return;
    const severity: Complaint['severity'] = opening || !isLeft ? 'error' : 'warning';
    item.complain({ code, severity, ...problem });
  });
}

/** What of a value it is, and what is written beside its star; any other star stands for itself. */
function partOf(value: string): readonly [PathPart, string] {
  if (value.startsWith('*')) return ['suffix', value.slice(1)];
  return value.endsWith('*') ? ['prefix', value.slice(0, -1)] : ['whole', value];
}

/** A request with such a host is refused before any policy. */
function hostProblem(value: string): Problem | undefined {
  if (value === '*' || isPartOfHost(...partOf(value))) return undefined;
  return {
    message: 'never matches: a request with such a host is refused',
    allowed:
      'a name, four numbers from 0 to 255 without leading zeros, or an IPv6 address in brackets, with or without a port from 1 to 65535; a star at one end',
  };
}

/** With something in the place of the star; of an address in brackets only the characters are looked at. */
function isPartOfHost(part: PathPart, text: string): boolean {
  const isHost = (host: string): boolean => parseAuthority(host) !== undefined;
  switch (part) {
    case 'whole':
      return isHost(text);
    case 'prefix':
      return ['', 'z', '1'].some((end) => isHost(text + end)) || /^\[[\da-f:.]*$/i.test(text);
    case 'suffix':
      return isHost(`z${text}`) || /^\[?[\da-f:.]*\](?::[1-9]\d{0,4})?$/i.test(text);
  }
}

/** Small letters are complained of by a rule of their own. */
function methodProblem(value: string): Problem | undefined {
  if (isMethod(value) || /[a-z]/.test(value)) return undefined;
  return {
    message: 'never matches: is no method of a request',
    allowed: 'one method in capitals, up to 32 characters, or a part of one with a star at its end',
    ...(/[ ,;|/]/.test(value) ? { fix: 'write each method as a value of its own' } : {}),
  };
}

/** RFC 9110 §5.5. */
function headerValueProblem(value: string): Problem | undefined {
  const [part, text] = partOf(value);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for.
  if (/[\0-\x08\n-\x1f\x7f]/.test(text)) {
    return {
      message:
        'never matches: has a line break or another control character, which no header carries',
    };
  }
  const isBlank =
    (part !== 'suffix' && /^[ \t]/.test(text)) || (part !== 'prefix' && /[ \t]$/.test(text));
  if (!isBlank) return undefined;
  return {
    message: 'never matches: blanks around the value of a header are no part of it',
    fix: `write ${JSON.stringify(value.trim())}`,
  };
}

/** Of what stands beside the star of a pattern. */
function pathProblem(value: string): Problem | undefined {
  if (value.includes('?')) {
    return {
      message: 'never matches: has a query, which paths are compared without',
      fix: 'remove everything from the ?',
    };
  }
  const isTemplate = /\{\*{1,2}\}/.test(value);
  const [part, text] = isTemplate ? (['whole', value] as const) : partOf(value);
  const problem = value === '*' ? undefined : pathTextProblem(text, part);
  if (problem === undefined) return undefined;
  const { instead, ...rest } = problem;
  if (instead === undefined) return rest;
  const [before, behind] = [part === 'suffix' ? '*' : '', part === 'prefix' ? '*' : ''];
  return { ...rest, fix: `write ${before}${instead}${behind}` };
}

const PRINCIPAL = /^[^/*]+\/ns\/[^/*]+\/sa\/[^/*]+$/;
const SOME_PRINCIPAL = 'x/ns/x/sa/x';
const SPLITS = Array.from({ length: SOME_PRINCIPAL.length + 1 }, (_, index) => index);

/** With something in the place of the star. The scheme is cut before they are compared. */
function principalProblem(value: string): Problem | undefined {
  const bare = value.replace(/^spiffe:\/\//, '');
  const [part, text] = partOf(bare);
  const isPossible =
    bare === '*' ||
    SPLITS.some((at) => {
      const before = part === 'suffix' ? SOME_PRINCIPAL.slice(0, at) : '';
      const behind = part === 'prefix' ? SOME_PRINCIPAL.slice(at) : '';
      return PRINCIPAL.test(before + text + behind);
    });
  if (isPossible) return undefined;
  return {
    message: 'is no identity of a workload and never matches',
    allowed: 'trust-domain/ns/NAMESPACE/sa/SERVICE-ACCOUNT, prefix* or *suffix',
  };
}
