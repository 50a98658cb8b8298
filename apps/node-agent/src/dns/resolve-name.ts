/**
 * What the mesh itself answers to a question about addresses. Pure: a mesh view in, records out.
 *
 * Rule: a name that the mesh knows is never answered with "no such name", or resolvers would go on to other
 * search domains and reach something else.
 */
import { isIPv4, isIPv6 } from 'node:net';
import type { MeshService, Workload } from '@ambit/model';
import { nameCandidates } from './name-candidates.ts';

export interface NameView {
  readonly network: string;
  serviceByHostname(hostname: string, clientNamespace: string): MeshService | undefined;
  endpoints(serviceKey: string): readonly Workload[];
}

export interface NameQuestion {
  /** Lower case, no final dot. */
  readonly name: string;
  readonly type: 'A' | 'AAAA';
}

export interface NameClient {
  readonly namespace: string;
  readonly clusterDomain: string;
  readonly isIpv6Enabled: boolean;
}

export interface NameAnswer {
  /** Where the addresses are, if not under the question's own name. */
  readonly cname?: string;
  /** Shuffled by the caller. Empty: the name exists, without such addresses. */
  readonly addresses: readonly string[];
}

/** Undefined: the mesh does not know the name; ask upstream. */
export function resolveName(
  view: NameView,
  question: NameQuestion,
  client: NameClient,
): NameAnswer | undefined {
  const context = { clientNamespace: client.namespace, clusterDomain: client.clusterDomain };
  for (const candidate of nameCandidates(question.name, context)) {
    const service = view.serviceByHostname(candidate.hostname, client.namespace);
    if (service === undefined || !isEligible(service, client.clusterDomain)) {
      continue;
    }
    const addresses = addressesOf(view, service, question.type, client);
    // Only with addresses: libc takes an alias alone for an answer. When a pod comes into the mesh between its two
    // questions, that of upstream to the other one says "no such name", and it would not go on to the next domain.
    return candidate.stripped === undefined || candidate.isWildcard || addresses.length === 0
      ? { addresses }
      : { cname: candidate.stripped, addresses };
  }
  return undefined;
}

/** Hosts without an address of their own are somebody else's to answer, except headless services of the cluster. */
function isEligible(service: MeshService, clusterDomain: string): boolean {
  return (
    service.addresses.some(({ length }) => length === undefined) ||
    service.hostname.endsWith(`.svc.${clusterDomain}`)
  );
}

function addressesOf(
  view: NameView,
  service: MeshService,
  type: 'A' | 'AAAA',
  client: NameClient,
): readonly string[] {
  const { ipFamilies } = service;
  const isOffered =
    type === 'A' ? ipFamilies !== 'IPV6_ONLY' : client.isIpv6Enabled && ipFamilies !== 'IPV4_ONLY';
  if (!isOffered) {
    return [];
  }
  const matches = type === 'A' ? isIPv4 : isIPv6;
  const hosts = service.addresses.filter(({ length }) => length === undefined);
  if (hosts.length > 0) {
    return hosts
      .filter(({ network, address }) => network === view.network && matches(address))
      .map(({ address }) => address);
  }
  const endpoints = view.endpoints(`${service.namespace}/${service.hostname}`);
  return endpoints.flatMap(({ addresses }) => addresses.filter(matches).slice(0, 1));
}
