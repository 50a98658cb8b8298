/** The mesh's CA for people: what it is, and its rotation step by step. */
import { MeshError } from '@ambit/core';
import { type CertificateAuthority, parseCertificates } from '@ambit/identity';
import type { AdminCa } from '@ambit/model';
import { type AdminResponse, type AdminRoute, jsonResponse } from '@ambit/telemetry';

import { ControllerError } from '../errors.ts';

/** What a RootRotation offers. */
export interface CaRotation {
  describe(): Promise<AdminCa>;
  next(options: {
    readonly isForced: boolean;
    readonly from: string | undefined;
  }): Promise<AdminCa>;
  abort(): Promise<AdminCa>;
}

/**
 * A step that is refused answers 409 with `error`, `code` and `retryable`; a Secret that cannot be read or used 503.
 */
export function caRoutes(rotation: CaRotation): readonly AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/v1/ca',
      summary: 'the roots of the mesh and how far their rotation is',
      handle: async () => await answered(() => rotation.describe()),
    },
    {
      method: 'POST',
      path: '/v1/ca/rotate/next',
      summary:
        'takes the next step of a rotation (?from=STEP: only from there; ?force=true: without waiting for proxies)',
      handle: async ({ query }) =>
        await answered(() =>
          rotation.next({
            isForced: query.get('force') === 'true',
            from: query.get('from') ?? undefined,
          }),
        ),
    },
    {
      method: 'POST',
      path: '/v1/ca/rotate/abort',
      summary: 'gives a rotation up, as long as the next root has signed nothing',
      handle: async () => await answered(() => rotation.abort()),
    },
  ];
}

async function answered(ask: () => Promise<AdminCa>): Promise<AdminResponse> {
  try {
    return jsonResponse(await ask());
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    const { message, code, retryable } = error;
    const isRefusal =
      error instanceof ControllerError && error.code === 'CONTROLLER_ROTATION_REFUSED';
    return jsonResponse({ error: message, code, retryable }, isRefusal ? 409 : 503);
  }
}

/** `describe` for a CA that was not made by the controller in a cluster. */
export function describeFixed(options: {
  readonly authority: Pick<CertificateAuthority, 'isOpen' | 'rootBundlePem' | 'trustDomain'>;
  /** As `folder "/etc/…"`. */
  readonly source: string;
  readonly why: string;
  readonly proxies: number;
}): AdminCa {
  const { authority, source, why, proxies } = options;
  const roots = authority.isOpen ? parseCertificates(authority.rootBundlePem) : [];
  return {
    trustDomain: authority.trustDomain,
    source,
    fixedBecause: why,
    step: 'none',
    roots: roots.map((root) => ({
      name: root.subject.split('\n').join(', '),
      fingerprint: root.fingerprint256,
      notAfterMs: root.validToDate.getTime(),
      // Of several nobody says here which one signs.
      use: roots.length === 1 ? 'signs' : 'trusted',
    })),
    proxies,
    waiting: [],
  };
}

/** For a CA whose key is in files: what it is, and that nobody here can rotate it. */
export function fixedCa(describe: () => AdminCa): CaRotation {
  const refuse = (): Promise<never> => {
    const why = describe().fixedBecause ?? 'it cannot be rotated here';
    return Promise.reject(new ControllerError('CONTROLLER_ROTATION_REFUSED', why));
  };
  return { describe: () => Promise.resolve(describe()), next: refuse, abort: refuse };
}
