/** A mesh of literals for tests: workloads, services, and the lookups over them. */
import { cidrContains, parseCidr, parseIp } from '@ambit/api';
import type { MeshView, ViewService, ViewWorkload } from './mesh-view.ts';
import { serviceKey } from './mesh-view.ts';

export function fakeWorkload(name: string, overrides: Partial<ViewWorkload> = {}): ViewWorkload {
  return {
    uid: `Kubernetes//Pod/shop/${name}`,
    name,
    namespace: 'shop',
    addresses: [],
    network: '',
    tunnelProtocol: 'HBONE',
    trustDomain: 'cluster.local',
    serviceAccount: name,
    status: 'HEALTHY',
    node: 'n1',
    clusterId: 'Kubernetes',
    hostname: '',
    services: {},
    capacity: 1,
    labels: {},
    ...overrides,
  };
}

export function fakeService(name: string, overrides: Partial<ViewService> = {}): ViewService {
  return {
    name,
    namespace: 'shop',
    hostname: `${name}.shop.svc.cluster.local`,
    addresses: [],
    ports: [{ servicePort: 80, targetPort: 8080 }],
    subjectAltNames: [],
    ipFamilies: 'AUTOMATIC',
    ...overrides,
  };
}

export class FakeView implements MeshView {
  readonly network = '';
  readonly #workloads: readonly ViewWorkload[];
  readonly #services: readonly ViewService[];

  constructor(mesh: {
    readonly workloads: readonly ViewWorkload[];
    readonly services?: readonly ViewService[];
  }) {
    this.#workloads = mesh.workloads;
    this.#services = mesh.services ?? [];
  }

  workloadByUid(uid: string): ViewWorkload | undefined {
    return this.#workloads.find((workload) => workload.uid === uid);
  }

  workloadByAddress(network: string, ip: string): ViewWorkload | undefined {
    return this.#workloads.find(
      (workload) => workload.network === network && workload.addresses.includes(ip),
    );
  }

  workloadByHostname(namespace: string, hostname: string): ViewWorkload | undefined {
    return this.#workloads.find(
      (workload) => workload.namespace === namespace && workload.hostname === hostname,
    );
  }

  serviceByAddress(network: string, ip: string): ViewService | undefined {
    const bytes = parseIp(ip);
    return this.#services.find((service) =>
      service.addresses.some((vip) => {
        const subnet = parseCidr(vip.address);
        return (
          vip.network === network &&
          subnet !== undefined &&
          bytes !== undefined &&
          cidrContains(subnet, bytes)
        );
      }),
    );
  }

  service(namespace: string, hostname: string): ViewService | undefined {
    return this.#services.find(
      (service) => service.namespace === namespace && service.hostname === hostname,
    );
  }

  serviceByHostname(hostname: string, clientNamespace: string): ViewService | undefined {
    return (
      this.service(clientNamespace, hostname) ??
      this.#services.find((service) => service.hostname === hostname)
    );
  }

  endpoints(key: string): readonly ViewWorkload[] {
    const service = this.#services.find((candidate) => serviceKey(candidate) === key);
    return this.#workloads.filter(
      (workload) =>
        workload.services[key] !== undefined &&
        (workload.status === 'HEALTHY' || service?.loadBalancing?.healthPolicy === 'ALLOW_ALL'),
    );
  }
}

/** Mulberry32: the same numbers for the same seed, in [0,1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
