/**
 * What the main thread tells a worker and hears from it. Everything here survives structured clone.
 *
 * The main thread owns control (xDS, certificates, pods, listening sockets); a worker owns bytes. A new
 * worker is told the whole state by the same messages, so a replacement needs no other path.
 */
import type { RevocationState } from '@ambit/identity';
import type { Address, AddressKey } from '@ambit/model';
import type { CompiledPolicy } from '@ambit/policy';

/** A pod that is captured on this node. Descriptors are valid process-wide and owned by the worker from then on. */
export interface CapturedPod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Canonical text. A record of the mesh that has none of them is of another pod. */
  readonly ips: readonly string[];
  /** A path that opens the pod's network namespace, for sockets that dial from inside. */
  readonly netnsPath: string;
  /** Duplicates of the main thread's listening sockets, for this worker alone. */
  readonly listeners: {
    readonly outbound: number;
    readonly inbound: number;
    readonly hbone: number;
  };
}

export interface CertificateMaterial {
  /** `spiffe://…` */
  readonly identity: string;
  readonly privateKeyPem: string;
  /** Leaf first, then intermediates. */
  readonly chainPem: string;
  readonly rootsPem: string;
  readonly notAfterMs: number;
}

export type ToWorker =
  | {
      readonly kind: 'resources';
      /** Echoed by `applied`. */
      readonly sequence: number;
      readonly addresses: {
        readonly changed: readonly Address[];
        readonly removed: readonly AddressKey[];
      };
      readonly authorizations: {
        readonly changed: readonly CompiledPolicy[];
        /** `namespace/name` */
        readonly removed: readonly string[];
      };
    }
  | { readonly kind: 'certificate'; readonly material: CertificateMaterial }
  | { readonly kind: 'certificate-unavailable'; readonly identity: string; readonly reason: string }
  /** No pod here has the identity any more. */
  | { readonly kind: 'certificate-forgotten'; readonly identity: string }
  /** Of all CAs of the mesh. Before the first there are none. */
  | { readonly kind: 'revocations'; readonly state: RevocationState }
  | { readonly kind: 'pod-added'; readonly pod: CapturedPod }
  /** `release`: stop listening, keep open connections. `kill`: the pod is gone. */
  | { readonly kind: 'pod-removed'; readonly uid: string; readonly mode: 'release' | 'kill' }
  | { readonly kind: 'drain'; readonly deadlineMs: number }
  | { readonly kind: 'report'; readonly id: number; readonly what: 'metrics' | 'connections' };

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'applied'; readonly sequence: number; readonly errors: readonly string[] }
  | { readonly kind: 'pod-started'; readonly uid: string; readonly error?: string }
  | { readonly kind: 'drained'; readonly cutOff: readonly string[] }
  /** `metrics`: prom-client's JSON. `connections`: rows of the admin dump. */
  | { readonly kind: 'report'; readonly id: number; readonly value: unknown };
