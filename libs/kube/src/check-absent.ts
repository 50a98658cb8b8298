/**
 * Whether a kind that discovery does not name is really not there.
 *
 * Discovery alone may neither empty the world nor say that an empty one is complete: a server that has
 * just started does not name all of its kinds. A list of such a kind is then 503 and not 404.
 */
import type { WantedResource } from './discovery.ts';
import { isKubeError, KubeError } from './errors.ts';
import type { KubeHttp } from './http.ts';
import { pathOf } from './resources.ts';

const CONTRADICTION = 'Contradiction';

export interface AbsenceCheck {
  readonly http: KubeHttp;
  readonly resource: WantedResource;
  readonly namespace: string | undefined;
  readonly signal: AbortSignal;
}

/** Throws KubeError unless every version is 404. */
export async function checkAbsent(check: AbsenceCheck): Promise<void> {
  const { http, resource, namespace, signal } = check;
  for (const version of resource.versions) {
    const path = pathOf({ ...resource, version }, { namespace });
    try {
      await http.json({ method: 'GET', path, query: { limit: '1' }, signal });
    } catch (error) {
      if (isKubeError(error, 'KUBE_NOT_FOUND')) {
        continue;
      }
      throw error;
    }
    const message = `discovery does not name GET ${path}, which can be listed`;
    const options = { reason: CONTRADICTION, retryable: true };
    throw new KubeError('KUBE_UNAVAILABLE', message, options);
  }
}

/** True for the error of a kind that can be listed although discovery does not name it. */
export function isContradictionError(error: unknown): boolean {
  return error instanceof KubeError && error.reason === CONTRADICTION;
}
