/** AdmissionReview bodies as an API server writes them. */
export const VIRTUAL_SERVICE = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'reviews', namespace: 'shop', uid: 'u', generation: 1 },
  spec: { hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews' } }] }] },
};

export const BAD_VIRTUAL_SERVICE = {
  ...VIRTUAL_SERVICE,
  spec: { ...VIRTUAL_SERVICE.spec, http: [{ ...VIRTUAL_SERVICE.spec.http[0], timeout: 5 }] },
};

export interface ReviewParts {
  readonly uid?: string;
  readonly operation?: string;
  readonly namespace?: string;
  readonly oldObject?: unknown;
  readonly group?: string;
  readonly version?: string;
  readonly resource?: string;
  readonly dryRun?: boolean;
}

/** The review of storing `object`. */
export function reviewOf(object: unknown, parts: ReviewParts = {}): Record<string, unknown> {
  const group = parts.group ?? 'networking.istio.io';
  const version = parts.version ?? 'v1';
  const resource = { group, version, resource: parts.resource ?? 'virtualservices' };
  return {
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: parts.uid ?? '705ab4f5-6393-11e8-b7cc-42010a800002',
      kind: { group, version, kind: 'VirtualService' },
      resource,
      requestKind: { group, version, kind: 'VirtualService' },
      requestResource: resource,
      name: 'reviews',
      namespace: parts.namespace ?? 'shop',
      operation: parts.operation ?? 'CREATE',
      userInfo: { username: 'kubernetes-admin', groups: ['system:masters'] },
      object,
      oldObject: parts.oldObject ?? null,
      dryRun: parts.dryRun ?? false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
    },
  };
}

export function bytesOf(review: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(review));
}
