/**
 * A CertificateRequest (cert-manager.io/v1): how ours looks, and what its status says.
 *
 * Conditions: Approved or Denied by an approver, InvalidRequest, and Ready with the reasons Pending, Failed, Denied and
 * Issued. `status.ca` is there for issuers that know their own CA.
 */
import type { KubeObject } from '@ambit/kube';

import { MANAGED_BY } from '../../context.ts';
import type { IssuerReference } from './issuer-reference.ts';

export const CERTIFICATE_REQUESTS = {
  group: 'cert-manager.io',
  version: 'v1',
  resource: 'certificaterequests',
};

const USAGES = ['digital signature', 'key encipherment', 'server auth', 'client auth'];
const TEXT_MAX = 300;

export type RequestOutcome =
  /** PEM each. */
  | { readonly kind: 'issued'; readonly chainPem: string; readonly caPem: string }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'pending'; readonly reason: string };

/** What is kept of a request while it is watched. */
export interface WatchedRequest {
  readonly uid: string;
  readonly createdAtMs: number;
  readonly outcome: RequestOutcome;
}

export function certificateRequest(options: {
  readonly namespace: string;
  readonly name: string;
  readonly identity: string;
  readonly csrPem: string;
  readonly ttlSeconds: number;
  readonly issuer: IssuerReference;
}): KubeObject & { readonly apiVersion: string; readonly kind: string } {
  const { namespace, name, identity, csrPem, ttlSeconds, issuer } = options;
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'CertificateRequest',
    metadata: {
      namespace,
      name,
      labels: MANAGED_BY,
      annotations: { 'ambit.io/identity': identity },
    },
    spec: {
      request: Buffer.from(csrPem).toString('base64'),
      duration: `${Math.ceil(ttlSeconds)}s`,
      isCA: false,
      usages: USAGES,
      issuerRef: issuer,
    },
  };
}

export function watchedRequest(object: KubeObject): WatchedRequest {
  const { uid = '', creationTimestamp = '' } = object.metadata;
  return { uid, createdAtMs: Date.parse(creationTimestamp), outcome: outcomeOf(object) };
}

interface Condition {
  readonly type?: unknown;
  readonly status?: unknown;
  readonly reason?: unknown;
  readonly message?: unknown;
}

function outcomeOf(object: KubeObject): RequestOutcome {
  const status = (object['status'] ?? {}) as Readonly<Record<string, unknown>>;
  const conditions = (status['conditions'] ?? []) as readonly Condition[];
  const named = (type: string): Condition | undefined =>
    conditions.find((condition) => condition.type === type);
  const ready = named('Ready');
  const denied = named('Denied');
  const invalid = named('InvalidRequest');
  if (denied?.status === 'True') return refused('it was denied', denied);
  if (invalid?.status === 'True') return refused('it is invalid', invalid);
  if (ready?.status === 'False' && ready.reason === 'Denied') {
    return refused('it was denied', ready);
  }
  if (ready?.status === 'False' && ready.reason === 'Failed') return refused('it failed', ready);
  const certificate = status['certificate'];
  if (ready?.status === 'True' && typeof certificate === 'string') {
    return { kind: 'issued', chainPem: decode(certificate), caPem: decode(status['ca']) };
  }
  if (named('Approved')?.status !== 'True') {
    return { kind: 'pending', reason: 'nobody has approved it yet' };
  }
  const said = ready === undefined ? 'the issuer has not looked at it yet' : messageOf(ready);
  return { kind: 'pending', reason: said };
}

function refused(what: string, condition: Condition): RequestOutcome {
  return { kind: 'refused', reason: `${what}: ${messageOf(condition)}` };
}

function messageOf({ reason, message }: Condition): string {
  const text = [reason, message].filter((one) => typeof one === 'string' && one !== '').join(', ');
  return text.slice(0, TEXT_MAX) || 'no reason is given';
}

function decode(base64: unknown): string {
  return typeof base64 === 'string' ? Buffer.from(base64, 'base64').toString('utf8') : '';
}
