/** Empty matches to start from, and which fields of a match say anything. */
import type { L4Match, L7Match, Match } from './types.ts';

export const EMPTY_L4: L4Match = {
  namespaces: [],
  notNamespaces: [],
  principals: [],
  notPrincipals: [],
  serviceAccounts: [],
  notServiceAccounts: [],
  trustDomains: [],
  notTrustDomains: [],
  sourceIps: [],
  notSourceIps: [],
  destinationIps: [],
  notDestinationIps: [],
  destinationPorts: [],
  notDestinationPorts: [],
};

export const EMPTY_L7: L7Match = {
  hosts: [],
  notHosts: [],
  methods: [],
  notMethods: [],
  paths: [],
  notPaths: [],
  headers: [],
  notHeaders: [],
  undecidable: [],
};

function saysNothing(part: Readonly<Record<keyof never, readonly unknown[]>>): boolean {
  return Object.values(part).every((list: readonly unknown[]) => list.length === 0);
}

/** Every L4 list is empty. */
export function isEmptyL4(match: Match): boolean {
  return saysNothing({ ...match.l4 });
}

/** The match needs the request: some HTTP list is not empty. */
export function hasL7(match: Match): boolean {
  return match.l7 !== undefined && !saysNothing({ ...match.l7 });
}
