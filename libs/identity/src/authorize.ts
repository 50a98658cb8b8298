/**
 * Who may have which certificate. The node restriction of the reference, condition for condition, with the trust
 * domain checked besides, which the reference leaves out.
 *
 * A refusal tells the caller nothing about what runs where: its text is always the same. The reason is
 * for our log.
 */
import { IdentityError } from './errors.ts';
import { formatSpiffeId, parseSpiffeId, type SpiffeId } from './spiffe.ts';
import type { TokenCaller } from './token.ts';

/** What the CA knows of running pods. */
export interface PodIndex {
  /** The pod of that name, if the cluster has it. */
  pod(namespace: string, name: string): PodRecord | undefined;
  /** Is there a pod of this service account on this node that has not failed? */
  hasPodOnNode(query: {
    readonly namespace: string;
    readonly serviceAccount: string;
    readonly node: string;
  }): boolean;
}

export interface PodRecord {
  readonly uid: string;
  readonly serviceAccount: string;
  readonly node: string;
}

export interface CertificateAuthorizationInput {
  readonly caller: TokenCaller;
  /** As in the request's metadata; absent: the caller's own identity. */
  readonly requestedIdentity?: string;
  readonly trustDomain: string;
  /** `namespace/serviceaccount` of node agents. */
  readonly trustedNodeAccounts: ReadonlySet<string>;
  readonly index: PodIndex;
}

export type CertificateAuthorization =
  | { readonly kind: 'granted'; readonly identity: SpiffeId }
  /** `reason` must not reach the caller; `publicMessage` is what it may read. */
  | { readonly kind: 'refused'; readonly reason: string; readonly publicMessage: string };

export function authorizeCertificateRequest(
  input: CertificateAuthorizationInput,
): CertificateAuthorization {
  const { caller, requestedIdentity, trustDomain } = input;
  const own: SpiffeId = {
    trustDomain,
    namespace: caller.namespace,
    serviceAccount: caller.serviceAccount,
  };
  const record = callerPod(input);
  if (typeof record === 'string') {
    return refused(record, requestedIdentity);
  }
  if (requestedIdentity === undefined || requestedIdentity === formatSpiffeId(own)) {
    return { kind: 'granted', identity: own };
  }
  return impersonation(input, requestedIdentity, record);
}

function impersonation(
  { caller, trustDomain, trustedNodeAccounts, index }: CertificateAuthorizationInput,
  requestedIdentity: string,
  record: PodRecord,
): CertificateAuthorization {
  const account = `${caller.namespace}/${caller.serviceAccount}`;
  if (!trustedNodeAccounts.has(account)) {
    return refused(`${account} is not a trusted node account`, requestedIdentity);
  }
  const identity = parseOrUndefined(requestedIdentity);
  if (identity === undefined) {
    return refused('the requested identity is not a SPIFFE id', requestedIdentity);
  }
  if (identity.trustDomain !== trustDomain) {
    return refused(`trust domain ${identity.trustDomain} is not ours`, requestedIdentity);
  }
  const { namespace, serviceAccount } = identity;
  if (!index.hasPodOnNode({ namespace, serviceAccount, node: record.node })) {
    return refused(
      `no pod of ${namespace}/${serviceAccount} runs on node ${record.node}`,
      requestedIdentity,
    );
  }
  return { kind: 'granted', identity };
}

/** The live pod that the token is bound to, or why there is none. */
function callerPod({ caller, index }: CertificateAuthorizationInput): PodRecord | string {
  const record = index.pod(caller.namespace, caller.pod.name);
  const name = `${caller.namespace}/${caller.pod.name}`;
  if (record === undefined) {
    return `the caller's pod ${name} does not exist`;
  }
  if (record.uid !== caller.pod.uid) {
    return `the caller's token is bound to another pod named ${name}`;
  }
  if (record.serviceAccount !== caller.serviceAccount) {
    return `the caller's pod ${name} runs as another service account`;
  }
  if (record.node === '') {
    return `the caller's pod ${name} is on no node`;
  }
  return record;
}

function refused(reason: string, requestedIdentity: string | undefined): CertificateAuthorization {
  return {
    kind: 'refused',
    reason,
    publicMessage:
      requestedIdentity === undefined
        ? 'request authenticate failure'
        : 'request impersonation authentication failure',
  };
}

function parseOrUndefined(text: string): SpiffeId | undefined {
  try {
    return parseSpiffeId(text);
  } catch (error) {
    if (error instanceof IdentityError) {
      return undefined;
    }
    throw error;
  }
}
