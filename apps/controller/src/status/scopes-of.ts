/** In the scopes of which waypoints an object is. */
import type { ObjectKey } from '@ambit/api';
import type { MeshDelta, MeshOutputs } from '@ambit/model';

const NOWHERE: readonly string[] = [];

export class ScopesOf {
  /** As they were last; their sets are never written to. */
  readonly #scopes = new Map<string, ReadonlySet<ObjectKey>>();
  readonly #waypoints = new Map<ObjectKey, readonly string[]>();

  /** Names of waypoints, `namespace/name`. */
  of(key: ObjectKey): readonly string[] {
    return this.#waypoints.get(key) ?? NOWHERE;
  }

  /** Takes what a batch changed; answers the objects of the scopes that changed, as they were and as they are. */
  note(
    { changed, removed }: MeshDelta['scopes'],
    scopes: MeshOutputs['scopes'],
  ): ReadonlySet<ObjectKey> {
    const concerned = new Set<ObjectKey>();
    for (const waypoint of [...changed, ...removed]) {
      const before = this.#scopes.get(waypoint) ?? new Set();
      const now = scopes.get(waypoint) ?? new Set();
      for (const key of before) {
        if (!now.has(key))
          this.#set(
            key,
            this.of(key).filter((name) => name !== waypoint),
          );
        concerned.add(key);
      }
      for (const key of now) {
        if (!before.has(key)) this.#set(key, [...this.of(key), waypoint]);
        concerned.add(key);
      }
      if (scopes.has(waypoint)) this.#scopes.set(waypoint, now);
      else this.#scopes.delete(waypoint);
    }
    return concerned;
  }

  #set(key: ObjectKey, waypoints: readonly string[]): void {
    if (waypoints.length === 0) this.#waypoints.delete(key);
    else this.#waypoints.set(key, waypoints);
  }
}
