/**
 * What differs between a folder of YAML and a cluster: where objects come from, who proves who is asking, where the
 * CA's key is, and who makes waypoints run. Everything else of the controller is the same.
 */
import type { CertificateAuthority, CertificateIssuer, TokenVerifier } from '@ambit/identity';
import type { WaypointSpec } from '@ambit/model';

import type { CaRotation } from './admin/ca-routes.ts';
import type { Parts } from './parts.ts';
import type { ConfigSource } from './source/config-source.ts';
import type { Kept } from './status/state-file.ts';

/** Makes the waypoints run that should. */
export interface WaypointRunner {
  /** All of them, by `namespace/name`. Returns at once. */
  set(waypoints: ReadonlyMap<string, WaypointSpec>): void;
  stop(): Promise<void>;
}

export interface Platform {
  readonly source: ConfigSource;
  readonly verifier: TokenVerifier;
  readonly waypoints: WaypointRunner;
  /** Signs nothing before `open` has resolved. */
  readonly authority: CertificateAuthority;
  /** Who signs for workloads: the same, or somebody outside. */
  readonly issuer: CertificateIssuer;
  /** Something that the next process should know. */
  kept<T>(name: KeptName): Kept<T>;
  /** Until the CA can sign, or `stop`. `onProblems`: what keeps it from that. */
  open(onProblems: (problems: readonly string[]) => void): Promise<void>;
  /** Once all was read and proxies are served. Until `signal` aborts. */
  run(parts: Parts, signal: AbortSignal): Promise<void>;
  /** The root, and how it gets another. */
  caRotation(parts: Pick<Parts, 'proxies'>): CaRotation;
  /** At any time. */
  stop(): Promise<void>;
}

export type KeptName = 'generations' | 'pending' | 'status' | 'captured' | 'certificates';
