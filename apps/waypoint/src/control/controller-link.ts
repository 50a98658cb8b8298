/**
 * What this waypoint subscribes to: objects first, then addresses.
 *
 * Rule: an ACK means that every worker has applied. An object that cannot be compiled, or that is written in
 * a later version of the semantics, is refused alone and by name; in place of such a policy everybody is refused (stand-in.ts).
 */
import type { MeshObject } from '@ambit/api';
import { type Address, SEMANTICS_VERSION } from '@ambit/model';
import {
  announceNames,
  decodeAddress,
  decodeObject,
  type ObjectResource,
  type Rejection,
  type Subscription,
  subscribeTo,
  TYPE_URL,
} from '@ambit/xds';
import type { Change, Rejections } from '../workers/worker-pool.ts';
import type { MeshState } from './mesh-state.ts';
import { standInForLater, standInForUnreadable } from './stand-in.ts';

export function subscriptionsOf(
  state: MeshState,
  apply: (change: Change) => Promise<Rejections>,
  /** The GatewayClass of this waypoint. */
  className: string,
): readonly Subscription[] {
  return [
    subscribeTo<ObjectResource>({
      typeUrl: TYPE_URL.object,
      decode: decodeObject,
      standIn: (name) => standInForUnreadable(name, className),
      apply: async ({ changed, removed }) => {
        const later: Rejection[] = [];
        const objects = new Map<string, MeshObject>();
        for (const [name, resource] of changed) {
          if (resource.semanticsVersion > SEMANTICS_VERSION) {
            const { semanticsVersion } = resource;
            const reason = `written in version ${semanticsVersion} of the semantics, this waypoint knows ${SEMANTICS_VERSION}`;
            later.push({ name, reason });
            const standIn = standInForLater(resource.object, state.object(name), className);
            if (standIn !== undefined) {
              objects.set(name, standIn);
            }
          } else {
            objects.set(name, resource.object);
          }
        }
        const rejected = await apply(state.applyObjects(objects, removed));
        return [...later, ...rejected.map(({ key, error }) => ({ name: key, reason: error }))];
      },
    }),
    subscribeTo<Address>({
      typeUrl: TYPE_URL.address,
      decode: decodeAddress,
      apply: async ({ changed, removed }) => {
        const rejected = await apply(state.applyAddresses([...changed.values()], removed));
        return rejected.map(({ key, error }) => ({ name: key, reason: error }));
      },
    }),
    announceNames(TYPE_URL.trust),
  ];
}
