/**
 * Who gets which address. Everything lives in namespaces that the lab made, so that no range can clash with the
 * machine's own networks.
 *
 * Fabric 10.240.0.0/24, pods of node i 10.241.i.0/24, services 10.242.0.0/16; IPv6 with the same digits under
 * fd00:240::/64, fd00:241:i::/64 and fd00:242::/112.
 */
import { createHash } from 'node:crypto';
import { LabError } from './errors.ts';

export const NODES_MAX = 32;
/** Host numbers 2 to 254 of a node's /24; 1 is the node's own. */
const POD_HOST_MIN = 2;
const POD_HOST_MAX = 254;
/** Slots of the service range that `10.242.0.*` leaves for fixed services such as DNS. */
const SERVICE_SLOT_MIN = 256;
const SERVICE_SLOT_MAX = 65_279;

export interface DualAddress {
  readonly v4: string;
  readonly v6: string;
}

export const FABRIC: DualAddress = { v4: '10.240.0.1', v6: 'fd00:240::1' };
export const CONTROLLER: DualAddress = { v4: '10.240.0.2', v6: 'fd00:240::2' };
/** The lab's name server, at the address that kubeadm gives kube-dns in its range. */
export const DNS: DualAddress = { v4: '10.242.0.10', v6: 'fd00:242::a' };

/** Nodes count from 1. */
export function nodeAddress(index: number): DualAddress {
  return { v4: `10.240.0.${10 + index}`, v6: `fd00:240::${(10 + index).toString(16)}` };
}

/** The node's side of its pod network; source of probes. */
export function nodePodGateway(index: number): DualAddress {
  return podAddress(index, 1);
}

export function podRange(index: number): DualAddress {
  return { v4: `10.241.${index}.0/24`, v6: `fd00:241:${index.toString(16)}::/64` };
}

export function podAddress(index: number, host: number): DualAddress {
  return {
    v4: `10.241.${index}.${host}`,
    v6: `fd00:241:${index.toString(16)}::${host.toString(16)}`,
  };
}

/** Host numbers of one node, handed out round robin so that an address rests before its next pod. */
export class PodHosts {
  readonly #used = new Set<number>();
  #next = POD_HOST_MIN;

  /** Throws `LAB_ADDRESSES_EXHAUSTED` when the node holds 253 pods. */
  take(): number {
    for (let tried = POD_HOST_MIN; tried <= POD_HOST_MAX; tried += 1) {
      const host = this.#next;
      this.#next = host === POD_HOST_MAX ? POD_HOST_MIN : host + 1;
      if (!this.#used.has(host)) {
        this.#used.add(host);
        return host;
      }
    }
    throw new LabError('LAB_ADDRESSES_EXHAUSTED', 'a node of the lab holds at most 253 pods');
  }

  release(host: number): void {
    this.#used.delete(host);
  }
}

/** Service addresses: the same name gets the same address in every lab, unless another name has it already. */
export class ServiceAddresses {
  readonly #slots = new Map<string, number>();
  readonly #owners = new Map<number, string>();

  /** `key` is `namespace/name`. Throws `LAB_ADDRESSES_EXHAUSTED` when all 65,024 are taken. */
  take(key: string): DualAddress {
    const slot = this.#slots.get(key) ?? this.#findFree(key);
    this.#slots.set(key, slot);
    this.#owners.set(slot, key);
    return { v4: `10.242.${slot >> 8}.${slot & 255}`, v6: `fd00:242::${slot.toString(16)}` };
  }

  release(key: string): void {
    const slot = this.#slots.get(key);
    if (slot !== undefined) {
      this.#slots.delete(key);
      this.#owners.delete(slot);
    }
  }

  #findFree(key: string): number {
    const count = SERVICE_SLOT_MAX - SERVICE_SLOT_MIN + 1;
    const start = createHash('sha256').update(key).digest().readUInt32BE(0) % count;
    for (let step = 0; step < count; step += 1) {
      const slot = SERVICE_SLOT_MIN + ((start + step) % count);
      if (!this.#owners.has(slot)) {
        return slot;
      }
    }
    throw new LabError('LAB_ADDRESSES_EXHAUSTED', 'the lab has no service address left');
  }
}
