/**
 * What a client subscribes to and how it applies what comes.
 *
 * `apply` is the promise of an ACK: it resolves when everything that was not rejected is in force.
 */
import { reasonOf, XdsError } from '../errors.ts';

export interface RawResource {
  readonly name: string;
  readonly version: string;
  readonly value: Uint8Array;
}

export interface Update {
  readonly changed: readonly RawResource[];
  /** Content of another type, with no value. Rejected already. */
  readonly foreign?: readonly RawResource[];
  /** Names, also of what was never here. */
  readonly removed: readonly string[];
}

/** A resource that was not applied. What was in force under its name stays, or a stand-in is put there. */
export interface Rejection {
  readonly name: string;
  readonly reason: string;
}

export interface Subscription {
  readonly typeUrl: string;
  /** `wildcard`: everything, and part of the first sync. `names`: what `setNames` says, nothing at first. */
  readonly mode: 'wildcard' | 'names';
  /**
   * Something may be in force in place of what was rejected, so a new stream claims it with no version,
   * to be told of its removal. The reference claims nothing then, and has nothing in force.
   */
  readonly claimsRejected?: boolean;
  /** Rejecting the promise refuses the whole response. Called one at a time over all subscriptions. */
  apply(update: Update): Promise<readonly Rejection[]>;
}

/** A subscription whose resources are decoded one by one; those that can not be are rejected alone. */
export function subscribeTo<T>(options: {
  readonly typeUrl: string;
  readonly mode?: 'wildcard' | 'names';
  /** Throws XDS_RESOURCE_INVALID. */
  readonly decode: (name: string, value: Uint8Array) => T;
  /**
   * What is applied in place of a resource that can not be decoded, where its absence would be a
   * decision. It is rejected all the same. Undefined: nothing is, what was in force stays.
   */
  readonly standIn?: (name: string, value: Uint8Array) => T | undefined;
  /** May reject more, by name. */
  readonly apply: (update: {
    readonly changed: ReadonlyMap<string, T>;
    readonly removed: readonly string[];
  }) => Promise<readonly Rejection[] | undefined>;
}): Subscription {
  const { typeUrl, mode = 'wildcard', decode, standIn, apply } = options;
  return {
    typeUrl,
    mode,
    claimsRejected: standIn !== undefined,
    apply: async ({ changed, foreign = [], removed }) => {
      const decoded = new Map<string, T>();
      const replace = ({ name, value }: RawResource): void => {
        const stand = standIn?.(name, value);
        if (stand !== undefined) {
          decoded.set(name, stand);
        }
      };
      for (const resource of foreign) {
        replace(resource);
      }
      const rejections: Rejection[] = [];
      for (const resource of changed) {
        const { name, value } = resource;
        try {
          decoded.set(name, decode(name, value));
        } catch (error) {
          if (!(error instanceof XdsError)) {
            throw error;
          }
          rejections.push({ name, reason: reasonOf(error) });
          replace(resource);
        }
      }
      if (decoded.size > 0 || removed.length > 0) {
        rejections.push(...((await apply({ changed: decoded, removed })) ?? []));
      }
      return rejections;
    },
  };
}

/** A subscription that only tells the server names and expects nothing. */
export function announceNames(typeUrl: string): Subscription {
  return { typeUrl, mode: 'names', apply: () => Promise.resolve([]) };
}
