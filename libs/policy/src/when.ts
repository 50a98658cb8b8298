/** One `when` condition → one match. Keys that need what this version does not have stay undecidable. */
import type { AuthorizationCondition } from '@ambit/api';
import {
  type CompileContext,
  hostPattern,
  principalPatterns,
  requireCidr,
  requirePort,
  serviceAccountRef,
} from './compile-values.ts';
import { PolicyError } from './errors.ts';
import { judgedValue } from './judged-headers.ts';
import { EMPTY_L4, EMPTY_L7 } from './match-shapes.ts';
import { parseStringPattern } from './pattern.ts';
import type { HeaderMatch, L4Match, L7Match, Match } from './types.ts';

const HEADER_KEY = /^request\.headers\[([!#$%&'*+.^_`|~0-9A-Za-z-]+)\]$/;
/** Valid keys whose attribute is not known here. */
const UNDECIDABLE_KEY =
  /^(?:request\.auth\.(?:principal|audiences|presenter|claims(?:\[[^\]]+\])+)|remote\.ip|connection\.sni|experimental\.envoy\.filters\..+)$/;

/** Throws `PolicyError` for an unknown key, a bad value, or neither values nor notValues. */
export function compileCondition(
  condition: AuthorizationCondition,
  path: string,
  context: CompileContext,
): Match {
  const { key, values, notValues } = condition;
  if (values.length === 0 && notValues.length === 0) {
    throw new PolicyError(path, 'has neither values nor notValues');
  }
  const header = HEADER_KEY.exec(key)?.[1]?.toLowerCase();
  if (header !== undefined) {
    return { l4: EMPTY_L4, l7: { ...EMPTY_L7, ...headerCondition(header, values, notValues) } };
  }
  if (UNDECIDABLE_KEY.test(key)) {
    context.noteUndecidable(`${path}.key`);
    return { l4: EMPTY_L4, l7: { ...EMPTY_L7, undecidable: [key] } };
  }
  return { l4: { ...EMPTY_L4, ...l4Condition(condition, path, context) } };
}

/** A Host is a host wherever it is named: whoever forbids it forbids all its spellings. */
function headerCondition(
  name: string,
  values: readonly string[],
  notValues: readonly string[],
): Partial<L7Match> {
  return name === 'host'
    ? { hosts: values.map(hostPattern), notHosts: notValues.map(hostPattern) }
    : { headers: headerMatch(name, values), notHeaders: headerMatch(name, notValues) };
}

function headerMatch(name: string, values: readonly string[]): readonly HeaderMatch[] {
  return values.length === 0
    ? []
    : [{ name, values: values.map((value) => parseStringPattern(judgedValue(name, value))) }];
}

function l4Condition(
  { key, values, notValues }: AuthorizationCondition,
  path: string,
  context: CompileContext,
): Partial<L4Match> {
  const both = <T>(parse: (value: string, at: string) => T): readonly [T[], T[]] => [
    values.map((value, index) => parse(value, `${path}.values[${index}]`)),
    notValues.map((value, index) => parse(value, `${path}.notValues[${index}]`)),
  ];
  switch (key) {
    case 'source.ip': {
      const [sourceIps, notSourceIps] = both(requireCidr);
      return { sourceIps, notSourceIps };
    }
    case 'source.namespace': {
      const [namespaces, notNamespaces] = both(parseStringPattern);
      return { namespaces, notNamespaces };
    }
    case 'source.principal': {
      const [principals, notPrincipals] = both((value) => principalPatterns(value, context));
      return { principals: principals.flat(), notPrincipals: notPrincipals.flat() };
    }
    case 'source.serviceAccount': {
      const [serviceAccounts, notServiceAccounts] = both((v) => serviceAccountRef(v, context));
      return { serviceAccounts, notServiceAccounts };
    }
    case 'source.trustDomain': {
      const [trustDomains, notTrustDomains] = both(parseStringPattern);
      return { trustDomains, notTrustDomains };
    }
    case 'destination.ip': {
      const [destinationIps, notDestinationIps] = both(requireCidr);
      return { destinationIps, notDestinationIps };
    }
    case 'destination.port': {
      const [destinationPorts, notDestinationPorts] = both(requirePort);
      return { destinationPorts, notDestinationPorts };
    }
    default:
      throw new PolicyError(`${path}.key`, `"${key.slice(0, 80)}" is not a known key`);
  }
}
