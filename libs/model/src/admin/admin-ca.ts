/** `/v1/ca` of the controller: the mesh's roots, and how far a rotation of them is. */

/**
 * `none`: nothing is going on. `distribute`: the next root is trusted beside the old one. `sign`: the next root signs,
 * the old one is still trusted.
 */
export type AdminRotationStep = 'none' | 'distribute' | 'sign';

export interface AdminCaRoot {
  /** Its subject, on one line. */
  readonly name: string;
  /** SHA-256, as openssl writes it. */
  readonly fingerprint: string;
  readonly notAfterMs: number;
  readonly use: 'signs' | 'next' | 'trusted';
}

export interface AdminCaWaiting {
  readonly proxy: string;
  readonly reason: string;
}

export interface AdminCa {
  readonly trustDomain: string;
  /** Where the key is: a Secret or a folder. */
  readonly source: string;
  /** Why the mesh cannot rotate its root itself; absent if it can. */
  readonly fixedBecause?: string;
  readonly step: AdminRotationStep;
  /** When that step began; absent for `none`. */
  readonly sinceMs?: number;
  /** What `POST /v1/ca/rotate/next` would do; absent if it would not. */
  readonly next?: 'distribute' | 'sign' | 'finish';
  readonly roots: readonly AdminCaRoot[];
  /** Connected ones. */
  readonly proxies: number;
  /** Those for which the next step has to wait. */
  readonly waiting: readonly AdminCaWaiting[];
}
