/**
 * From Services and pods to addresses, names and rules: what kube-proxy, CoreDNS and the API server derive. Pure
 * but for the address pool.
 */
import type { Service } from '@ambit/api';
import type { ServiceAddresses } from './addresses.ts';
import type { DnsZone } from './dns-answers.ts';
import { resolvePort } from './probe.ts';
import type { ServiceRule } from './service-rules.ts';
import type { PodPlan } from './workloads.ts';

/** What is read of a pod. */
export interface Backend {
  readonly plan: PodPlan;
  readonly addresses: readonly string[];
  readonly isReady: boolean;
}

export interface NamedService {
  readonly service: Service;
  /** `['None']` for a headless one, empty for an ExternalName. */
  readonly clusterIPs: readonly string[];
}

/** An address of each wanted family, unless the Service has its own, is headless or only an alias. */
export function clusterIPsOf(service: Service, pool: ServiceAddresses): readonly string[] {
  const { spec, metadata } = service;
  if (spec.type === 'ExternalName') {
    return [];
  }
  if (spec.clusterIPs.length > 0) {
    return spec.clusterIPs;
  }
  const { v4, v6 } = pool.take(`${metadata.namespace}/${metadata.name}`);
  if (spec.ipFamilyPolicy === 'SingleStack') {
    return [spec.ipFamilies[0] === 'IPv6' ? v6 : v4];
  }
  return spec.ipFamilies[0] === 'IPv6' ? [v6, v4] : [v4, v6];
}

function isSelected({ metadata, spec }: Service, { plan }: Backend): boolean {
  const wanted = Object.entries(spec.selector);
  return (
    wanted.length > 0 &&
    plan.namespace === metadata.namespace &&
    wanted.every(([key, value]) => plan.labels[key] === value)
  );
}

function backendsOf(service: Service, pods: readonly Backend[]): Backend[] {
  return pods.filter(
    (pod) =>
      isSelected(service, pod) && (pod.isReady || service.spec.publishNotReadyAddresses === true),
  );
}

export function rulesOf(
  services: readonly NamedService[],
  pods: readonly Backend[],
): ServiceRule[] {
  return services.flatMap(({ service, clusterIPs }) => {
    if (clusterIPs.length === 0 || clusterIPs[0] === 'None') {
      return [];
    }
    const backends = backendsOf(service, pods);
    return service.spec.ports
      .filter(({ protocol }) => protocol !== 'SCTP')
      .map((port) => ({
        addresses: clusterIPs,
        port: port.port,
        protocol: port.protocol === 'UDP' ? ('udp' as const) : ('tcp' as const),
        endpoints: backends.flatMap(({ plan, addresses }) => {
          const target = plan.spec.containers
            .map((container) => resolvePort(port.targetPort, container))
            .find((number) => number !== undefined);
          return target === undefined
            ? []
            : addresses.map((address) => ({ address, port: target }));
        }),
      }));
  });
}

export interface ZoneOptions {
  readonly clusterDomain: string;
  /** Names of the lab's own, such as the controller's. */
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

export function zoneOf(
  services: readonly NamedService[],
  pods: readonly Backend[],
  { clusterDomain, extra }: ZoneOptions,
): DnsZone {
  const addresses = new Map(
    Object.entries(extra).map(([name, values]) => [name.toLowerCase(), values]),
  );
  const aliases = new Map<string, string>();
  for (const { service, clusterIPs } of services) {
    const { name, namespace } = service.metadata;
    const host = `${name}.${namespace}.svc.${clusterDomain}`.toLowerCase();
    if (service.spec.externalName !== undefined && service.spec.type === 'ExternalName') {
      aliases.set(host, service.spec.externalName);
    } else if (clusterIPs[0] === 'None') {
      addresses.set(
        host,
        backendsOf(service, pods).flatMap((pod) => pod.addresses),
      );
    } else {
      addresses.set(host, clusterIPs);
    }
  }
  return { addresses, aliases };
}
