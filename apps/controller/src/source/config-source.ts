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

export interface RefusedVersion extends KeyFindings {
  /** Its label `istio.io/rev`, where it has one that can be read. */
  readonly revision?: string;
}

/** Removes come before everything else. */
export interface SourceChange {
  readonly upserts: readonly MeshObject[];
  readonly removes: readonly ObjectKey[];
  /** Refused versions; whatever was accepted under the key before stays. */
  readonly invalid: readonly RefusedVersion[];
  /** Warnings about accepted objects; an empty list takes earlier ones back. */
  readonly notes: readonly KeyFindings[];
  readonly unsupported: readonly { readonly key: ObjectKey; readonly message: string }[];
}

export interface ConfigSource {
  /**
   * Resolves once all that exists was delivered, or when it is stopped before. `onProblems`: what keeps it from
   * reading, whenever that changes; until it could read for the first time, what it delivers is what an earlier process had.
   */
  start(
    onChange: (change: SourceChange) => void,
    onProblems?: (problems: readonly string[]) => void,
  ): Promise<void>;
  stop(): Promise<void>;
  /** The version of this incarnation that an earlier process had in force, if it is known. To be asked while a change is delivered. */
  acceptedBefore(object: MeshObject): MeshObject | undefined;
  /**
   * An object that is being delivered cannot be used. `inForce`: the version that stays, to be kept over restarts as that of a
   * refused object is; none: nothing, or a stand-in.
   */
  unusable(key: ObjectKey, inForce: MeshObject | undefined): void;
  /** What could not be used when it was delivered is in force now. `isRefused`: as what stays of a version that is refused. */
  usable(object: MeshObject, isRefused: boolean): void;
}
