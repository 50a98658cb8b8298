/**
 * Does with CertificateRequests what cert-manager's approver and CA issuer do: approve, sign the names as they are
 * asked for, say the CA. And the definition of the kind, cut to what is used here.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';

import { systemClock } from '@ambit/core';
import { buildLeaf, type CaTexts, createOwnRoot, parseCsrPem } from '@ambit/identity';
import { isKubeError, type KubeClient, type KubeObject } from '@ambit/kube';

import { CERTIFICATE_REQUESTS } from './certificate-request.ts';

export type Answer =
  | 'issue'
  | 'issue without CA'
  | 'issue for another'
  | 'deny'
  | 'fail'
  | 'invalid'
  | 'leave pending'
  | 'ignore';

interface Spec {
  readonly request: string;
  readonly duration: string;
  readonly isCA: boolean;
  readonly usages: readonly string[];
  readonly issuerRef: Readonly<Record<string, string>>;
}

export class FakeCertManager implements AsyncDisposable {
  answer: Answer = 'issue';
  root: CaTexts = FakeCertManager.newRoot('issuer');
  /** Of all requests that were answered. */
  readonly specs: Spec[] = [];
  readonly #client: KubeClient;
  readonly #namespace: string;
  readonly #stopping = new AbortController();
  readonly #answered = new Set<string>();
  readonly #running: Promise<void>;

  constructor(client: KubeClient, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
    this.#running = this.#run();
  }

  static newRoot(commonName: string): CaTexts {
    return createOwnRoot({ trustDomain: 'issuer', nowMs: Date.now(), commonName });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const options = { namespace: this.#namespace };
      const found = await this.#client.list(CERTIFICATE_REQUESTS, options).catch(() => []);
      for (const object of found) await this.#look(object);
      await systemClock.sleep(20);
    }
  }

  async #look(object: KubeObject): Promise<void> {
    const { uid = '' } = object.metadata;
    if (this.#answered.has(uid) || this.answer === 'ignore') return;
    this.#answered.add(uid);
    const spec = object['spec'] as Spec;
    this.specs.push(spec);
    try {
      const options = { subresource: 'status' };
      const status = this.#statusFor(spec);
      await this.#client.update(CERTIFICATE_REQUESTS, { ...object, status }, options);
    } catch (error) {
      // Whoever asked did not wait.
      if (!isKubeError(error, 'KUBE_NOT_FOUND', 'KUBE_CONFLICT')) throw error;
    }
  }

  #statusFor(spec: Spec): unknown {
    const lastTransitionTime = new Date(Math.floor(Date.now() / 1000) * 1000)
      .toISOString()
      .replace('.000', '');
    const condition = (type: string, status: string, reason: string, message = '') => ({
      ...{ type, status, reason, message },
      lastTransitionTime,
    });
    const approved = condition('Approved', 'True', 'cert-manager.io', 'approved');
    switch (this.answer) {
      case 'deny':
        return {
          conditions: [
            condition('Denied', 'True', 'policy', 'no such identities here'),
            condition('Ready', 'False', 'Denied'),
          ],
        };
      case 'fail':
        return { conditions: [approved, condition('Ready', 'False', 'Failed', 'key is lost')] };
      case 'invalid':
        return { conditions: [condition('InvalidRequest', 'True', 'bad', 'usages differ')] };
      case 'leave pending':
        return { conditions: [approved, condition('Ready', 'False', 'Pending', 'issuer waits')] };
      case 'issue':
      case 'issue without CA':
      case 'issue for another':
      case 'ignore': {
        const ca = this.answer === 'issue without CA' ? {} : { ca: encode(this.root.roots) };
        const ready = condition('Ready', 'True', 'Issued');
        return { conditions: [approved, ready], certificate: encode(this.#sign(spec)), ...ca };
      }
    }
  }

  #sign({ request, duration }: Spec): string {
    const { publicKey, uris } = parseCsrPem(Buffer.from(request, 'base64').toString());
    const names = this.answer === 'issue for another' ? ['spiffe://x/ns/y/sa/z'] : uris;
    const nowMs = Date.now();
    const { pem } = buildLeaf({
      issuer: {
        certificate: new X509Certificate(this.root.certificate),
        privateKey: createPrivateKey(this.root.key),
      },
      publicKey,
      names: names.map((value) => ({ kind: 'uri', value })),
      validity: {
        notBeforeMs: nowMs - 1_000,
        notAfterMs: nowMs + Number.parseInt(duration, 10) * 1000,
      },
    });
    return pem;
  }
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}

const string = { type: 'string' };
const strings = { type: 'array', items: string };

export const CERTIFICATE_REQUEST_CRD = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'certificaterequests.cert-manager.io' },
  spec: {
    group: 'cert-manager.io',
    scope: 'Namespaced',
    names: {
      kind: 'CertificateRequest',
      listKind: 'CertificateRequestList',
      plural: 'certificaterequests',
      singular: 'certificaterequest',
      shortNames: ['cr', 'crs'],
    },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              apiVersion: string,
              kind: string,
              metadata: { type: 'object' },
              spec: {
                type: 'object',
                required: ['issuerRef', 'request'],
                properties: {
                  duration: string,
                  extra: { type: 'object', additionalProperties: strings },
                  groups: { ...strings, 'x-kubernetes-list-type': 'atomic' },
                  isCA: { type: 'boolean' },
                  issuerRef: {
                    type: 'object',
                    required: ['name'],
                    properties: { group: string, kind: string, name: string },
                  },
                  request: { type: 'string', format: 'byte' },
                  uid: string,
                  usages: strings,
                  username: string,
                },
              },
              status: {
                type: 'object',
                properties: {
                  ca: { type: 'string', format: 'byte' },
                  certificate: { type: 'string', format: 'byte' },
                  failureTime: { type: 'string', format: 'date-time' },
                  conditions: {
                    type: 'array',
                    'x-kubernetes-list-type': 'map',
                    'x-kubernetes-list-map-keys': ['type'],
                    items: {
                      type: 'object',
                      required: ['status', 'type'],
                      properties: {
                        lastTransitionTime: { type: 'string', format: 'date-time' },
                        message: string,
                        reason: string,
                        status: { type: 'string', enum: ['True', 'False', 'Unknown'] },
                        type: string,
                      },
                    },
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
} as const;
