/**
 * The mesh as proxies hold it: lookups over Address resources, kept up by deltas.
 *
 * Endpoints are kept by service key whether the service is known or not, so that the order in which
 * resources arrive does not matter. Workloads of the host's network are never found by address.
 */
import { cidrContains, parseCidr, parseIp } from '@ambit/api';
import { isPod, type MeshView } from '@ambit/routing';

import type { Address, AddressKey, MeshService, NetworkAddress, Workload } from '../types.ts';

export interface AddressDelta {
  readonly changed: Iterable<Address>;
  /** Uids and service keys. */
  readonly removed: Iterable<AddressKey>;
}

interface CidrEntry {
  readonly network: string;
  readonly cidr: { readonly address: Uint8Array; readonly length: number };
  readonly service: MeshService;
}

const NO_WORKLOADS: readonly Workload[] = [];

export class MeshIndex implements MeshView<Workload, MeshService> {
  readonly network: string;
  #version = 0;
  readonly #workloads = new Map<string, Workload>();
  readonly #services = new Map<string, MeshService>();
  readonly #byAddress = new Map<string, Set<Workload>>();
  readonly #byHostname = new Map<string, Set<Workload>>();
  readonly #servicesByAddress = new Map<string, Set<MeshService>>();
  readonly #servicesByHostname = new Map<string, Set<MeshService>>();
  readonly #cidrs = new Map<string, readonly CidrEntry[]>();
  /** By service key, then uid: all workloads that serve it, healthy or not. */
  readonly #members = new Map<string, Map<string, Workload>>();
  /** Endpoint lists that were asked for since their service last changed. */
  readonly #endpoints = new Map<string, readonly Workload[]>();

  constructor(options: { readonly network: string }) {
    this.network = options.network;
  }

  /** Removals come first: one uid may be removed and come back in one delta. */
  apply({ changed, removed }: AddressDelta): void {
    this.#version += 1;
    for (const key of removed) this.#remove(key);
    for (const address of changed) {
      if (address.kind === 'workload') this.#setWorkload(address.workload);
      else this.#setService(address.service);
    }
  }

  /** Different after every `apply`. */
  get version(): number {
    return this.#version;
  }

  get workloads(): ReadonlyMap<string, Workload> {
    return this.#workloads;
  }

  /** By `namespace/hostname`. */
  get services(): ReadonlyMap<string, MeshService> {
    return this.#services;
  }

  workloadByUid(uid: string): Workload | undefined {
    return this.#workloads.get(uid);
  }

  workloadByAddress(network: string, ip: string): Workload | undefined {
    return best(this.#byAddress.get(`${network}/${ip}`), compareWorkloads);
  }

  workloadByHostname(namespace: string, hostname: string): Workload | undefined {
    return best(this.#byHostname.get(`${namespace}/${hostname}`), compareWorkloads);
  }

  serviceByAddress(network: string, ip: string, clientNamespace: string): MeshService | undefined {
    const order = preferring(clientNamespace);
    const exact = best(this.#servicesByAddress.get(`${network}/${ip}`), order);
    if (exact !== undefined || this.#cidrs.size === 0) return exact;
    const bytes = parseIp(ip);
    return bytes === undefined ? undefined : this.#byCidr(network, bytes, clientNamespace);
  }

  service(namespace: string, hostname: string): MeshService | undefined {
    return this.#services.get(`${namespace}/${hostname}`);
  }

  serviceByHostname(hostname: string, clientNamespace: string): MeshService | undefined {
    return best(this.#servicesByHostname.get(hostname), preferring(clientNamespace));
  }

  /** All services of a hostname, one for each namespace that has it. */
  servicesByHostname(hostname: string): readonly MeshService[] {
    return [...(this.#servicesByHostname.get(hostname) ?? [])];
  }

  endpoints(serviceKey: string): readonly Workload[] {
    const known = this.#endpoints.get(serviceKey);
    if (known !== undefined) return known;
    const members = this.#members.get(serviceKey);
    const service = this.#services.get(serviceKey);
    if (members === undefined || service === undefined) return NO_WORKLOADS;
    const takesAll = service.loadBalancing?.healthPolicy === 'ALLOW_ALL';
    const found = [...members.values()]
      .filter(({ status }) => takesAll || status === 'HEALTHY')
      .sort((a, b) => compare(a.uid, b.uid));
    this.#endpoints.set(serviceKey, found);
    return found;
  }

  /** Every workload of the service, ready or not, whether the service is known or not. */
  members(serviceKey: string): readonly Workload[] {
    return [...(this.#members.get(serviceKey)?.values() ?? [])];
  }

  #remove(key: AddressKey): void {
    const workload = this.#workloads.get(key);
    if (workload !== undefined) this.#dropWorkload(workload);
    const service = this.#services.get(key);
    if (service !== undefined) this.#dropService(service);
  }

  #setWorkload(workload: Workload): void {
    const before = this.#workloads.get(workload.uid);
    if (before !== undefined) this.#dropWorkload(before);
    this.#workloads.set(workload.uid, workload);
    if (workload.networkMode !== 'HOST_NETWORK') {
      for (const ip of workload.addresses) {
        addTo(this.#byAddress, `${workload.network}/${ip}`, workload);
      }
    }
    if (workload.hostname !== '') {
      addTo(this.#byHostname, `${workload.namespace}/${workload.hostname}`, workload);
    }
    for (const key in workload.services) {
      let members = this.#members.get(key);
      if (members === undefined) {
        members = new Map();
        this.#members.set(key, members);
      }
      members.set(workload.uid, workload);
      this.#endpoints.delete(key);
    }
  }

  #dropWorkload(workload: Workload): void {
    this.#workloads.delete(workload.uid);
    for (const ip of workload.addresses) {
      removeFrom(this.#byAddress, `${workload.network}/${ip}`, workload);
    }
    removeFrom(this.#byHostname, `${workload.namespace}/${workload.hostname}`, workload);
    for (const key in workload.services) {
      const members = this.#members.get(key);
      members?.delete(workload.uid);
      if (members?.size === 0) this.#members.delete(key);
      this.#endpoints.delete(key);
    }
  }

  #setService(service: MeshService): void {
    const key = `${service.namespace}/${service.hostname}`;
    const before = this.#services.get(key);
    if (before !== undefined) this.#dropService(before);
    this.#services.set(key, service);
    addTo(this.#servicesByHostname, service.hostname, service);
    const cidrs = service.addresses.flatMap((address) => cidrEntry(address, service));
    if (cidrs.length > 0) this.#cidrs.set(key, cidrs);
    for (const { network, address, length } of service.addresses) {
      if (length === undefined) addTo(this.#servicesByAddress, `${network}/${address}`, service);
    }
    this.#endpoints.delete(key);
  }

  #dropService(service: MeshService): void {
    const key = `${service.namespace}/${service.hostname}`;
    this.#services.delete(key);
    this.#cidrs.delete(key);
    this.#endpoints.delete(key);
    removeFrom(this.#servicesByHostname, service.hostname, service);
    for (const { network, address } of service.addresses) {
      removeFrom(this.#servicesByAddress, `${network}/${address}`, service);
    }
  }

  /** Services with a CIDR are few: each is looked at. */
  #byCidr(network: string, ip: Uint8Array, clientNamespace: string): MeshService | undefined {
    const prefer = preferring(clientNamespace);
    let found: CidrEntry | undefined;
    for (const entries of this.#cidrs.values()) {
      for (const entry of entries) {
        if (entry.network !== network || !cidrContains(entry.cidr, ip)) continue;
        const order =
          found === undefined
            ? -1
            : found.cidr.length - entry.cidr.length === 0
              ? prefer(entry.service, found.service)
              : found.cidr.length - entry.cidr.length;
        if (order < 0) found = entry;
      }
    }
    return found?.service;
  }
}

function cidrEntry(address: NetworkAddress, service: MeshService): readonly CidrEntry[] {
  if (address.length === undefined) return [];
  const cidr = parseCidr(`${address.address}/${address.length}`);
  return cidr === undefined ? [] : [{ network: address.network, cidr, service }];
}

/** Pod with a tunnel, pod, anything with a tunnel, the rest; then by uid. */
function compareWorkloads(a: Workload, b: Workload): number {
  return rankOf(b) - rankOf(a) || compare(a.uid, b.uid);
}

function rankOf(workload: Workload): number {
  return (isPod(workload) ? 2 : 0) + (workload.tunnelProtocol === 'HBONE' ? 1 : 0);
}

/** Of several services of one host or address: that of the namespace, then the canonical one. */
export function preferring(namespace: string): (a: MeshService, b: MeshService) => number {
  return (a, b) =>
    Number(b.namespace === namespace) - Number(a.namespace === namespace) ||
    Number(b.canonical) - Number(a.canonical) ||
    compare(a.namespace, b.namespace) ||
    compare(a.hostname, b.hostname);
}

function best<T>(set: ReadonlySet<T> | undefined, order: (a: T, b: T) => number): T | undefined {
  let found: T | undefined;
  for (const item of set ?? []) if (found === undefined || order(item, found) < 0) found = item;
  return found;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function addTo<T>(index: Map<string, Set<T>>, key: string, item: T): void {
  const set = index.get(key);
  if (set === undefined) index.set(key, new Set([item]));
  else set.add(item);
}

function removeFrom<T>(index: Map<string, Set<T>>, key: string, item: T): void {
  const set = index.get(key);
  if (set === undefined) return;
  set.delete(item);
  if (set.size === 0) index.delete(key);
}
