/**
 * What this agent subscribes to, in the order in which it wants it: enrolment, pods, policy, then addresses.
 *
 * Rule: an ACK means that every worker has applied. What a worker refuses is a NACK with its words. A policy that
 * can not be read is a NACK too, and refuses what it or the version before may be about until it can be.
 */
import type { Address, Enrolment, PodFacts } from '@ambit/model';
import type { CompiledPolicy } from '@ambit/policy';
import {
  announceNames,
  decodeAddress,
  decodeAuthorization,
  decodeEnrolment,
  decodePod,
  type Rejection,
  type Subscription,
  standInAuthorization,
  subscribeTo,
  TYPE_URL,
} from '@ambit/xds';
import type { Change, MeshState } from './mesh-state.ts';

interface Update<T> {
  readonly changed: ReadonlyMap<string, T>;
  readonly removed: readonly string[];
}

export function subscriptionsOf(
  state: MeshState,
  applyPods: (changed: readonly PodFacts[], removed: readonly string[]) => void,
): readonly Subscription[] {
  return [
    subscribeTo<Enrolment>({
      typeUrl: TYPE_URL.enrolment,
      decode: decodeEnrolment,
      apply: async (update) => {
        state.applyEnrolments(changeOf(update));
        return [];
      },
    }),
    subscribeTo<PodFacts>({
      typeUrl: TYPE_URL.pod,
      decode: decodePod,
      apply: async ({ changed, removed }) => {
        applyPods([...changed.values()], removed);
        return [];
      },
    }),
    subscribeTo<CompiledPolicy>({
      typeUrl: TYPE_URL.authorization,
      decode: decodeAuthorization,
      standIn: (name, value) =>
        standInAuthorization(name, value, state.scopeOfPolicy(policyKey(name))),
      apply: async ({ changed, removed }) =>
        rejections(
          await state.applyAuthorizations({
            changed: [...changed.values()],
            removed: removed.map(policyKey),
          }),
        ),
    }),
    subscribeTo<Address>({
      typeUrl: TYPE_URL.address,
      decode: decodeAddress,
      apply: async (update) => rejections(await state.applyAddresses(changeOf(update))),
    }),
    announceNames(TYPE_URL.capture),
    announceNames(TYPE_URL.trust),
  ];
}

/** As a policy is kept: what stands in for one whose name has no namespace has an empty one. */
function policyKey(name: string): string {
  return name.includes('/') ? name : `/${name}`;
}

function changeOf<T>({ changed, removed }: Update<T>): Change<T> {
  return { changed: [...changed.values()], removed };
}

/** Workers say `name: reason`, or only a reason. */
function rejections(errors: readonly string[]): readonly Rejection[] {
  return errors.map((reason) => ({ name: 'worker', reason }));
}
