/**
 * What the main thread tells a worker and hears from it. Everything here survives structured clone.
 *
 * A new worker is told the whole state by the same messages, so a replacement needs no other path.
 */
import type { MeshObject, ObjectKey } from '@ambit/api';
import type { RevocationState } from '@ambit/identity';
import type { Address, AddressKey } from '@ambit/model';

export interface CertificateMaterial {
  /** `spiffe://…` */
  readonly identity: string;
  readonly privateKeyPem: string;
  /** Leaf first, then intermediates. */
  readonly chainPem: string;
  readonly rootsPem: string;
  readonly notAfterMs: number;
}

/** In real life a listening descriptor, the worker's own from then on. */
export type ListenAt =
  | { readonly fd: number; readonly backlog: number }
  | { readonly host: string; readonly port: number };

export type ToWorker =
  | {
      readonly kind: 'addresses';
      /** Echoed by `applied`. */
      readonly sequence: number;
      readonly changed: readonly Address[];
      readonly removed: readonly AddressKey[];
    }
  | {
      readonly kind: 'objects';
      readonly sequence: number;
      readonly changed: readonly MeshObject[];
      readonly removed: readonly ObjectKey[];
    }
  | { readonly kind: 'certificate'; readonly material: CertificateMaterial }
  | { readonly kind: 'certificate-unavailable'; readonly reason: string }
  /** Of all CAs of the mesh. Before the first there are none. */
  | { readonly kind: 'revocations'; readonly state: RevocationState }
  /** The first complete configuration is here: serve. */
  | { readonly kind: 'serve'; readonly at: ListenAt }
  /** The end is near: everything is served, clients are told to come back on other connections. */
  | { readonly kind: 'leave' }
  | { readonly kind: 'drain'; readonly deadlineMs: number }
  | { readonly kind: 'report'; readonly id: number; readonly what: 'metrics' | 'clusters' };

export type FromWorker =
  | { readonly kind: 'ready' }
  /** Its heap has given memory back; what lies outside of heaps is the main thread's to give. */
  | { readonly kind: 'collected' }
  /** Objects that this worker cannot compile, by key. */
  | {
      readonly kind: 'applied';
      readonly sequence: number;
      readonly rejected: readonly { readonly key: ObjectKey; readonly error: string }[];
    }
  | { readonly kind: 'serving'; readonly port: number; readonly error?: string }
  | { readonly kind: 'drained'; readonly cutOff: number }
  /** `metrics`: prom-client's JSON. `clusters`: rows of the admin dump. */
  | { readonly kind: 'report'; readonly id: number; readonly value: unknown };

/** What a worker is started with. */
export interface WorkerConfig {
  readonly namespace: string;
  readonly name: string;
  readonly className: string;
  /** Of its Service. */
  readonly serviceName: string;
  readonly identity: string;
  readonly trustDomain: string;
  readonly rootNamespace: string;
  readonly clusterDomain: string;
  readonly network: string;
  readonly logSpec: string;
  /** What the whole process may use. */
  readonly memoryLimitBytes?: number | undefined;
}
