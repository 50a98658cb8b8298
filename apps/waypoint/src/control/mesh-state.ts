/** What the controller has told this waypoint, as one whole: for workers that start late, and for the dump. */
import type { MeshObject, ObjectKey } from '@ambit/api';
import type { Address, AddressKey } from '@ambit/model';
import { serviceKey } from '@ambit/routing';
import type { Change } from '../workers/worker-pool.ts';

export class MeshState {
  readonly #addresses = new Map<AddressKey, Address>();
  readonly #objects = new Map<ObjectKey, MeshObject>();

  applyAddresses(changed: readonly Address[], removed: readonly AddressKey[]): Change {
    for (const key of removed) {
      this.#addresses.delete(key);
    }
    for (const address of changed) {
      const key = address.kind === 'workload' ? address.workload.uid : serviceKey(address.service);
      this.#addresses.set(key, address);
    }
    return { kind: 'addresses', changed, removed };
  }

  applyObjects(changed: ReadonlyMap<ObjectKey, MeshObject>, removed: readonly ObjectKey[]): Change {
    for (const key of removed) {
      this.#objects.delete(key);
    }
    for (const [key, object] of changed) {
      this.#objects.set(key, object);
    }
    return { kind: 'objects', changed: [...changed.values()], removed };
  }

  object(key: ObjectKey): MeshObject | undefined {
    return this.#objects.get(key);
  }

  get addresses(): readonly Address[] {
    return [...this.#addresses.values()];
  }

  get objects(): readonly MeshObject[] {
    return [...this.#objects.values()];
  }

  /** Everything, as changes from nothing: policy before what it concerns. */
  changes(): readonly Change[] {
    return [
      { kind: 'objects', changed: this.objects, removed: [] },
      { kind: 'addresses', changed: this.addresses, removed: [] },
    ];
  }
}
