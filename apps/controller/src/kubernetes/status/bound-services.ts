/**
 * Services that carry a condition of ours. Nearly none does, and of one that no longer asks for a waypoint nothing else says that
 * the condition of an earlier leader is still on it.
 */
import type { ObjectKey } from '@ambit/api';
import { type Condition, isKubeError, type KubeObject, Reflector } from '@ambit/kube';

import type { KubernetesContext } from '../context.ts';
import { WAYPOINT_BOUND } from './own-conditions.ts';

/** Reads all Services once. Nothing where the signal aborts before. */
export async function boundServices(
  { http, discovery, clock, metrics }: KubernetesContext,
  signal: AbortSignal,
): Promise<readonly ObjectKey[]> {
  const found: ObjectKey[] = [];
  const reflector = new Reflector<true>({
    http,
    discovery,
    clock,
    metrics,
    resource: { group: '', resource: 'services', versions: ['v1'] },
    prune: (object) => (isBound(object) ? true : undefined),
    onEvent: (event) => {
      if (event.kind === 'added') found.push(`Service/${event.key}`);
    },
  });
  const stop = (): void => void reflector.stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    if (signal.aborted) return [];
    reflector.start();
    await reflector.whenSynced();
    return found;
  } catch (error) {
    if (isKubeError(error, 'KUBE_STOPPED')) return [];
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
    await reflector.stop();
  }
}

function isBound(object: KubeObject): boolean {
  const status = object['status'] as
    | { readonly conditions?: readonly Condition[] | null }
    | undefined;
  return (status?.conditions ?? []).some(({ type }) => type === WAYPOINT_BOUND);
}
