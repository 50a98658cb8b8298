/** Values that several kinds share: durations, percentages, matches, addresses, selectors. */
import * as z from 'zod';
import type { StringMatch } from '../types/networking.ts';
import { DURATION_PATTERN, formatDuration, parseDuration } from '../value/duration.ts';
import { HOST_LENGTH_MAX, hostPattern, isHostname } from '../value/host.ts';
import { parseCidr } from '../value/ip.ts';
import { isRecord } from '../value/path.ts';
import { compileRegex, REGEX_LENGTH_MAX } from '../value/regex.ts';
import { nearestName } from '../value/suggest.ts';
import {
  integer,
  leaf,
  mapOf,
  name,
  type ProblemDetail,
  type Report,
  reportType,
  text,
} from './build.ts';
import type { WireSchema } from './wire.ts';

/** A duration of at least a millisecond; `0s` is also allowed where `zeroIsOff`. Milliseconds. */
export function duration(
  options: { readonly zeroIsOff?: boolean; readonly isWholeSeconds?: boolean } = {},
): z.ZodType<number> {
  const minMs = options.isWholeSeconds ? 1000 : 1;
  const allowed = `a duration such as 5s, 100ms or 1m, at least ${formatDuration(minMs)}${options.zeroIsOff ? ', or 0s for off' : ''}`;
  return leaf<number>(
    (raw, report) => {
      const ms = typeof raw === 'string' ? parseDuration(raw) : undefined;
      const isWhole = ms === undefined || !options.isWholeSeconds || ms % 1000 === 0;
      if (ms !== undefined && isWhole && (ms >= minMs || (ms === 0 && options.zeroIsOff)))
        return ms;
      const unitless =
        typeof raw === 'number' || (typeof raw === 'string' && /^\d+(?:\.\d+)?$/.test(raw));
      report({
        code: 'INVALID_DURATION',
        message:
          ms === undefined
            ? 'is not a duration'
            : isWhole
              ? 'is too short'
              : 'is not whole seconds',
        allowed,
        ...(unitless ? { fix: `give it a unit: ${raw}s` } : {}),
      });
      return undefined;
    },
    formatDuration,
    { type: 'string', pattern: DURATION_PATTERN },
  );
}

/** `{value: 12.5}`; absent value is 0 as in protobuf. */
export const percentage = leaf<number>(
  (raw, report) => {
    if (typeof raw === 'number') {
      reportType(raw, 'an object with value: 0 to 100', report);
      return undefined;
    }
    if (!isRecord(raw)) {
      reportType(raw, 'an object with value: 0 to 100', report);
      return undefined;
    }
    const unknown = Object.keys(raw).filter((key) => key !== 'value');
    for (const key of unknown) report(unknownKey(key, ['value']));
    const value = raw['value'] ?? 0;
    if (typeof value === 'number' && (value === 0 || (value >= 0.0001 && value <= 100))) {
      return unknown.length > 0 ? undefined : value;
    }
    report({
      code: 'OUT_OF_RANGE',
      message: 'is out of range',
      allowed: '0, or 0.0001 to 100',
      path: ['value'],
    });
    return undefined;
  },
  (value) => ({ value }),
  {
    type: 'object',
    properties: { value: { type: 'number', minimum: 0, maximum: 100 } },
    'x-kubernetes-preserve-unknown-fields': true,
  },
);

function unknownKey(key: string, known: readonly string[]): ProblemDetail {
  const near = nearestName(key, known);
  return {
    code: 'UNKNOWN_FIELD',
    message: 'is not a field of this kind; Kubernetes would drop it in silence',
    allowed: known.join(', '),
    fix: near === undefined ? 'remove it' : `did you mean ${near}?`,
    path: [key],
  };
}

const MATCH_KEYS = ['exact', 'prefix', 'regex'] as const;

const MATCH_TEXT: WireSchema = { type: 'string' };
/** Unknown keys are kept: `{exakt: x}` without its key would match anything. */
const PRESENCE_WIRE: WireSchema = {
  type: 'object',
  maxProperties: 1,
  properties: {
    exact: MATCH_TEXT,
    prefix: { type: 'string', minLength: 1 },
    regex: { type: 'string', minLength: 1, maxLength: REGEX_LENGTH_MAX },
  },
  'x-kubernetes-preserve-unknown-fields': true,
};
const MATCH_WIRE: WireSchema = { ...PRESENCE_WIRE, minProperties: 1 };

/** A StringMatch that must say something. */
export const stringMatch = leaf<StringMatch>(
  (raw, report) => decodeMatch(raw, report, false),
  encodeMatch,
  MATCH_WIRE,
);
/** A StringMatch where `{}` or regex `*` means "present with any value". */
export const presenceMatch = leaf<StringMatch>(
  (raw, report) => decodeMatch(raw, report, true),
  encodeMatch,
  PRESENCE_WIRE,
);
/** As `presenceMatch`; also exact "" means present (query parameters). */
export const queryMatch = leaf<StringMatch>(
  (raw, report) => {
    if (isRecord(raw) && raw['exact'] === '' && Object.keys(raw).length === 1)
      return { present: true };
    return decodeMatch(raw, report, true);
  },
  encodeMatch,
  PRESENCE_WIRE,
);

function decodeMatch(
  raw: unknown,
  report: Report,
  allowsPresence: boolean,
): StringMatch | undefined {
  if (!isRecord(raw)) {
    report({
      code: 'WRONG_TYPE',
      message: 'is not a string match',
      allowed: 'exactly one of exact, prefix, regex',
      ...(typeof raw === 'string'
        ? { fix: `write exact: ${JSON.stringify(raw)}, prefix or regex below it` }
        : {}),
    });
    return undefined;
  }
  const keys = Object.keys(raw);
  const unknown = keys.filter((key) => !MATCH_KEYS.some((known) => known === key));
  for (const key of unknown) report(unknownKey(key, MATCH_KEYS));
  if (unknown.length > 0) return undefined;
  if (keys.length === 0 && allowsPresence) return { present: true };
  const [kind, ...more] = keys;
  if (kind === undefined || more.length > 0) {
    report({
      code: 'CONFLICTING_FIELDS',
      message: kind === undefined ? 'says nothing to match' : 'says more than one way to match',
      allowed: 'exactly one of exact, prefix, regex',
    });
    return undefined;
  }
  const value = raw[kind];
  if (typeof value !== 'string') {
    reportType(value, 'a string', (problem) => report({ ...problem, path: [kind] }));
    return undefined;
  }
  if (kind === 'exact') return { exact: value };
  if (kind === 'regex' && value === '*' && allowsPresence) return { present: true };
  if (value === '') {
    report({ code: 'INVALID_VALUE', message: `${kind} may not be empty`, path: [kind] });
    return undefined;
  }
  if (kind === 'prefix') return { prefix: value };
  return checkRegex(value, report, [kind]) ? { regex: value } : undefined;
}

/** Reports why `pattern` is no RE2 pattern; true if it is one. */
export function checkRegex(pattern: string, report: Report, path: readonly string[] = []): boolean {
  const result = compileRegex(pattern);
  if (result.kind === 'ok') return true;
  report({
    code: 'INVALID_REGEX',
    message: result.message,
    allowed: 'RE2 syntax, no look-around, no back-references, at most 1024 characters',
    path,
    ...(pattern.startsWith('*') ? { fix: `write .${pattern}` } : {}),
  });
  return false;
}

function encodeMatch(value: StringMatch): unknown {
  return 'present' in value ? {} : value;
}

/** A regular expression on its own. */
export const regex = leaf<string>(
  (raw, report) => {
    if (typeof raw !== 'string') {
      reportType(raw, 'a string', report);
      return undefined;
    }
    return checkRegex(raw, report) ? raw : undefined;
  },
  (value) => value,
  { type: 'string', minLength: 1, maxLength: REGEX_LENGTH_MAX },
);

/** The longest is an IPv6 address that ends in an IPv4 one, with a prefix length. */
const ADDRESS_LENGTH_MAX = 49;
const ADDRESS_PATTERN = '^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$';

/** An IP address or CIDR, as written. */
export const cidrText = leaf<string>(
  (raw, report) => {
    if (typeof raw === 'string' && parseCidr(raw) !== undefined) return raw;
    report({
      code: 'INVALID_ADDRESS',
      message: 'is not an IP address or CIDR',
      allowed: 'such as 10.0.0.0/8, 192.168.1.7 or 2001:db8::/32',
    });
    return undefined;
  },
  (value) => value,
  { type: 'string', minLength: 2, maxLength: ADDRESS_LENGTH_MAX, pattern: ADDRESS_PATTERN },
);

/** A host name; wildcards where allowed. */
export function host(options: { readonly wildcard: boolean }): z.ZodType<string> {
  return leaf<string>(
    (raw, report) => {
      if (typeof raw === 'string' && isHostname(raw, options)) return raw;
      if (typeof raw === 'string' && raw === '')
        report({ code: 'REQUIRED_FIELD', message: 'is empty' });
      else {
        report({
          code: 'INVALID_HOST',
          message: 'is not a host name',
          allowed: options.wildcard
            ? 'a DNS name, *.name or *'
            : 'a DNS name without wildcard, no scheme, no port',
          ...(typeof raw === 'string' && /^[a-z]+:\/\//.test(raw)
            ? { fix: 'remove the scheme' }
            : {}),
          ...(typeof raw === 'string' && /^[^/:]+:\d+$/.test(raw)
            ? { fix: 'remove the port; a port has its own field' }
            : {}),
        });
      }
      return undefined;
    },
    (value) => value,
    {
      type: 'string',
      minLength: 1,
      maxLength: HOST_LENGTH_MAX,
      pattern: hostPattern(options),
    },
  );
}

const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** True for an RFC 9110 field name. */
export function isHeaderName(value: string): boolean {
  return HEADER_NAME.test(value);
}

export const labels = mapOf(text);
export const port = z.strictObject({ number: integer(1, 65_535) });
export const labelSelector = z.strictObject({ matchLabels: labels });
export const targetRef = z.strictObject({
  group: text.default(''),
  kind: name,
  name,
  namespace: text.exactOptional(),
});
