/**
 * One match of a policy: `@ambit/policy` ⇄ `istio.security.Match`.
 *
 * Trust domains have no field there. As long as they can be said as principals (`td/…` begins every
 * principal of td) they are; what can not is carried beside, in a match that for a foreign agent never
 * hits in ALLOW and always hits in DENY, so that it errs on the closed side.
 */
import type {
  Cidr,
  L4Match,
  Match,
  PolicyAction,
  ServiceAccountRef,
  StringPattern,
} from '@ambit/policy';
import { create } from '@bufbuild/protobuf';
import { EmptySchema } from '@bufbuild/protobuf/wkt';

import { invalidResource } from '../errors.ts';
import { ExtendedMatchSchema } from '../gen/ambit/mesh/v1/mesh_pb.ts';
import {
  type Address as AddressMessage,
  AddressSchema,
  ExtensionSchema,
  type Match as MatchMessage,
  MatchSchema,
  type ServiceAccountMatch,
  ServiceAccountMatchSchema,
  type StringMatch,
  StringMatchSchema,
} from '../gen/istio/security/authorization_pb.ts';
import { EXTENSION_NAME, EXTENSION_TYPE_URL } from '../type-urls.ts';
import {
  checkPort,
  decodeCidr,
  encodeExtension,
  findExtension,
  notExpressible,
} from './primitives.ts';

const EXTENDED = {
  name: EXTENSION_NAME.match,
  typeUrl: EXTENSION_TYPE_URL.match,
  schema: ExtendedMatchSchema,
  unknownFields: 'refuse',
} as const;

/** Throws XDS_NOT_EXPRESSIBLE for a match that needs the request: agents never get those. */
export function encodeMatch(match: Match, action: PolicyAction): MatchMessage {
  if (match.l7 !== undefined) {
    throw notExpressible('a match on the request can not be sent to an agent');
  }
  const principals = onePositive(match.l4);
  const notPrincipals = oneNegative(match.l4);
  if (principals !== undefined && notPrincipals !== undefined) {
    return encodePlain({ ...match.l4, principals, notPrincipals });
  }
  const message = create(ExtendedMatchSchema, {
    match: encodePlain(match.l4),
    trustDomains: match.l4.trustDomains.map(encodePattern),
    notTrustDomains: match.l4.notTrustDomains.map(encodePattern),
  });
  const extension = create(ExtensionSchema, encodeExtension({ ...EXTENDED, message }));
  return create(MatchSchema, {
    ...(action === 'ALLOW' ? { destinationPorts: [0] } : { notDestinationPorts: [0] }),
    extensions: [extension],
  });
}

export function decodeMatch(message: MatchMessage): Match {
  const extended = findExtension(message.extensions, EXTENDED);
  if (extended === undefined) {
    return { l4: decodePlain(message) };
  }
  if (extended.match === undefined) {
    throw invalidResource('an extended match without match');
  }
  return {
    l4: {
      ...decodePlain(extended.match),
      trustDomains: extended.trustDomains.map(decodePattern),
      notTrustDomains: extended.notTrustDomains.map(decodePattern),
    },
  };
}

/**
 * Patterns of principals that say what the patterns of trust domains say, or undefined if none do.
 * Exact `td` is the prefix `td/`, a prefix or presence is itself, a suffix has no like.
 */
function asPrincipals(trustDomains: readonly StringPattern[]): StringPattern[] | undefined {
  const lowered: StringPattern[] = [];
  for (const pattern of trustDomains) {
    if (pattern.kind === 'suffix') {
      return undefined;
    }
    lowered.push(
      pattern.kind === 'exact' ? { kind: 'prefix', value: `${pattern.value}/` } : pattern,
    );
  }
  return lowered;
}

/** Between two positive kinds there is AND and within one OR, so only one of them can be the list. */
function onePositive(l4: L4Match): readonly StringPattern[] | undefined {
  if (l4.trustDomains.length === 0) {
    return l4.principals;
  }
  return l4.principals.length > 0 ? undefined : asPrincipals(l4.trustDomains);
}

/** `not` lists of two kinds mean the same as one list of both. */
function oneNegative(l4: L4Match): readonly StringPattern[] | undefined {
  const lowered = asPrincipals(l4.notTrustDomains);
  return lowered === undefined ? undefined : [...l4.notPrincipals, ...lowered];
}

function encodePlain(l4: L4Match): MatchMessage {
  return create(MatchSchema, {
    namespaces: l4.namespaces.map(encodePattern),
    notNamespaces: l4.notNamespaces.map(encodePattern),
    principals: l4.principals.map(encodePattern),
    notPrincipals: l4.notPrincipals.map(encodePattern),
    sourceIps: l4.sourceIps.map(encodeBlock),
    notSourceIps: l4.notSourceIps.map(encodeBlock),
    destinationIps: l4.destinationIps.map(encodeBlock),
    notDestinationIps: l4.notDestinationIps.map(encodeBlock),
    destinationPorts: [...l4.destinationPorts],
    notDestinationPorts: [...l4.notDestinationPorts],
    serviceAccounts: l4.serviceAccounts.map(encodeAccount),
    notServiceAccounts: l4.notServiceAccounts.map(encodeAccount),
  });
}

function decodePlain(message: MatchMessage): L4Match {
  const port = (value: number): number => checkPort(value, 'destination port');
  return {
    namespaces: message.namespaces.map(decodePattern),
    notNamespaces: message.notNamespaces.map(decodePattern),
    principals: message.principals.map(decodePattern),
    notPrincipals: message.notPrincipals.map(decodePattern),
    serviceAccounts: message.serviceAccounts.map(decodeAccount),
    notServiceAccounts: message.notServiceAccounts.map(decodeAccount),
    trustDomains: [],
    notTrustDomains: [],
    sourceIps: message.sourceIps.map(decodeBlock),
    notSourceIps: message.notSourceIps.map(decodeBlock),
    destinationIps: message.destinationIps.map(decodeBlock),
    notDestinationIps: message.notDestinationIps.map(decodeBlock),
    destinationPorts: message.destinationPorts.map(port),
    notDestinationPorts: message.notDestinationPorts.map(port),
  };
}

function encodePattern(pattern: StringPattern): StringMatch {
  return create(StringMatchSchema, {
    matchType:
      pattern.kind === 'presence'
        ? { case: 'presence', value: create(EmptySchema) }
        : { case: pattern.kind, value: pattern.value },
  });
}

function decodePattern({ matchType }: StringMatch): StringPattern {
  switch (matchType.case) {
    case 'presence':
      return { kind: 'presence' };
    case 'exact':
    case 'prefix':
    case 'suffix':
      return { kind: matchType.case, value: matchType.value };
    case undefined:
      throw invalidResource('a string match that says nothing');
  }
}

function encodeBlock({ address, length }: Cidr): AddressMessage {
  return create(AddressSchema, { address, length });
}

function decodeBlock({ address, length }: AddressMessage): Cidr {
  return decodeCidr(address, length);
}

function encodeAccount({ namespace, name }: ServiceAccountRef): ServiceAccountMatch {
  return create(ServiceAccountMatchSchema, { namespace, serviceAccount: name });
}

function decodeAccount({ namespace, serviceAccount }: ServiceAccountMatch): ServiceAccountRef {
  return { namespace, name: serviceAccount };
}
