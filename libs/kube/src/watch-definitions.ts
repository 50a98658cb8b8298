/**
 * Watches CustomResourceDefinitions, so that a new kind is followed in a second and not at the next poll.
 *
 * Without permission to list them nothing is lost but time: discovery polls.
 */
import { type Clock, systemClock } from '@ambit/core';
import type { Discovery } from './discovery.ts';
import type { KubeHttp } from './http.ts';
import { Reflector } from './reflector.ts';

export interface DefinitionWatchOptions {
  readonly http: KubeHttp;
  readonly discovery: Discovery;
  /** Default the system's. */
  readonly clock?: Clock;
}

/** Asks discovery again after every change of a definition. To be started and stopped by the caller. */
export function watchDefinitions({
  http,
  discovery,
  clock = systemClock,
}: DefinitionWatchOptions): Reflector<true> {
  const reflector: Reflector<true> = new Reflector({
    http,
    discovery,
    clock,
    resource: {
      group: 'apiextensions.k8s.io',
      resource: 'customresourcedefinitions',
      versions: ['v1'],
    },
    metadataOnly: true,
    prune: () => true,
    onEvent: ({ kind }) => {
      if (kind !== 'malformed' && reflector.health().isSynced) {
        void discovery.refreshSoon();
      }
    },
  });
  return reflector;
}
