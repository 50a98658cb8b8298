/** Sessions of HTTP/2 by whom they may serve: an endpoint, for a caller. A group is forgotten when nothing of it is left. */
import type { PooledSession } from './http2-session.ts';
import type { Http2Try } from './http2-try.ts';

/** Sessions to one endpoint for one caller, and who waits for one. */
export interface Group {
  readonly key: string;
  readonly sessions: Set<PooledSession>;
  readonly waiting: Set<Http2Try>;
  /** Of the session that is being opened. */
  dial: AbortController | undefined;
  isServing: boolean;
}

export class SessionGroups {
  readonly #groups = new Map<string, Group>();

  get(key: string): Group | undefined {
    return this.#groups.get(key);
  }

  /** Makes it where there is none. */
  need(key: string): Group {
    const known = this.#groups.get(key);
    if (known !== undefined) {
      return known;
    }
    const group: Group = {
      key,
      sessions: new Set(),
      waiting: new Set(),
      dial: undefined,
      isServing: false,
    };
    this.#groups.set(key, group);
    return group;
  }

  /** A list of its own. */
  all(): Group[] {
    return [...this.#groups.values()];
  }

  forgetIfEmpty({ key, sessions, waiting, dial, isServing }: Group): void {
    if (sessions.size === 0 && waiting.size === 0 && dial === undefined && !isServing) {
      this.#groups.delete(key);
    }
  }
}
