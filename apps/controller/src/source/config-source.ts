/**
 * Where objects come from. Nothing above this interface knows whether that is a folder or Kubernetes.
 *
 * A source delivers what exists when it starts as one change, and then every later change, in order.
 */
import type { Finding, MeshObject, ObjectKey } from '@ambit/api';

export interface KeyFindings {
  readonly key: ObjectKey;
  readonly findings: readonly Finding[];
}

/** Removes come before everything else. */
export interface SourceChange {
  readonly upserts: readonly MeshObject[];
  readonly removes: readonly ObjectKey[];
  /** Refused versions; whatever was accepted under the key before stays. */
  readonly invalid: readonly KeyFindings[];
  /** Warnings about accepted objects; an empty list takes earlier ones back. */
  readonly notes: readonly KeyFindings[];
  readonly unsupported: readonly { readonly key: ObjectKey; readonly message: string }[];
}

export interface ConfigSource {
  /** Resolves once the first change was delivered. */
  start(onChange: (change: SourceChange) => void): Promise<void>;
  stop(): Promise<void>;
}
