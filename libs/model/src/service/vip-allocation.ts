/**
 * Addresses for ServiceEntry hosts that were given none: 240.240.0.0/16 and 2001:2::/48.
 *
 * An address is derived from the name, so that a restart gives the same one. Where two names meet, the
 * older object keeps the slot and the other takes the next of its own series: the result depends on the
 * set of objects only, never on the order in which they came.
 */

import type { NetworkAddress } from '../types.ts';
import type { ServiceSpec } from './services.ts';
import { compareServices } from './services.ts';

/** Slots 1..65533: the first and the last address of the /16 are left out. */
export const VIP_SLOTS = 65_533;

/**
 * `claims`: services with `wantsVip`. A claim beyond the last slot gets none, and is reached by its
 * endpoints only.
 */
export function allocateVips(
  claims: readonly ServiceSpec[],
  network: string,
): ReadonlyMap<string, readonly NetworkAddress[]> {
  const ordered = [...claims].sort(compareServices);
  const taken = new Set<number>();
  const allocated = new Map<string, readonly NetworkAddress[]>();
  for (const claim of ordered) {
    if (taken.size >= VIP_SLOTS) break;
    let slot = slotOf(claim.key);
    while (taken.has(slot)) slot = (slot % VIP_SLOTS) + 1;
    taken.add(slot);
    allocated.set(claim.key, addressesOf(slot, network));
  }
  return allocated;
}

/** FNV-1a of the key, spread once more so that names that differ in the last letter lie apart. */
function slotOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (((hash ^ (hash >>> 13)) >>> 0) % VIP_SLOTS) + 1;
}

function addressesOf(slot: number, network: string): readonly NetworkAddress[] {
  return [
    { network, address: `240.240.${slot >> 8}.${slot & 0xff}` },
    { network, address: `2001:2::${slot.toString(16)}` },
  ];
}
