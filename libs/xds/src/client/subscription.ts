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
  /** Names, also of what was never here. */
  readonly removed: readonly string[];
}

/** A resource that was not applied. What was in force under its name stays. */
export interface Rejection {
  readonly name: string;
  readonly reason: string;
}

export interface Subscription {
  readonly typeUrl: string;
  /** `wildcard`: everything, and part of the first sync. `names`: what `setNames` says, nothing at first. */
  readonly mode: 'wildcard' | 'names';
  /** Rejecting the promise refuses the whole response. Called one at a time over all subscriptions. */
  apply(update: Update): Promise<readonly Rejection[]>;
}

/** A subscription whose resources are decoded one by one; those that can not be are rejected alone. */
export function subscribeTo<T>(options: {
  readonly typeUrl: string;
  readonly mode?: 'wildcard' | 'names';
  /** Throws XDS_RESOURCE_INVALID. */
  readonly decode: (name: string, value: Uint8Array) => T;
  /** May reject more, by name. */
  readonly apply: (update: {
    readonly changed: ReadonlyMap<string, T>;
    readonly removed: readonly string[];
  }) => Promise<readonly Rejection[] | undefined>;
}): Subscription {
  const { typeUrl, mode = 'wildcard', decode, apply } = options;
  return {
    typeUrl,
    mode,
    apply: async ({ changed, removed }) => {
      const decoded = new Map<string, T>();
      const rejections: Rejection[] = [];
      for (const { name, value } of changed) {
        try {
          decoded.set(name, decode(name, value));
        } catch (error) {
          if (!(error instanceof XdsError)) {
            throw error;
          }
          rejections.push({ name, reason: reasonOf(error) });
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
