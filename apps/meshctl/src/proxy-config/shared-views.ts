/** Tables that agents and waypoints both have; columns as istioctl's `ztunnel-config`. */
import { fieldAt, listAt, textAt } from '../install/cluster.ts';
import { formatSpan } from '../output.ts';
import {
  addressesOf,
  endpointsOf,
  type ProxyDump,
  portsOf,
  protocolOf,
  type Row,
  vipsOf,
  waypointOf,
} from './dump.ts';

export const WORKLOAD_COLUMNS = [
  'NAMESPACE',
  'POD NAME',
  'ADDRESS',
  'NODE',
  'WAYPOINT',
  'PROTOCOL',
];

export function workloadRows({ json }: ProxyDump): readonly Row[] {
  return listAt(json, 'workloads').map((workload) => {
    const namespace = textAt(workload, 'namespace');
    const addresses = addressesOf(workload);
    return {
      cells: [
        namespace,
        textAt(workload, 'name'),
        addresses.join(','),
        textAt(workload, 'node'),
        waypointOf(workload),
        protocolOf(workload),
      ],
      data: workload,
      namespace,
      addresses,
    };
  });
}

export const SERVICE_COLUMNS = [
  'NAMESPACE',
  'SERVICE NAME',
  'SERVICE VIP',
  'WAYPOINT',
  'ENDPOINTS',
];

export function serviceRows({ json }: ProxyDump): readonly Row[] {
  const counts = new Map<unknown, { ready: number; all: number }>();
  for (const { service, isHealthy } of endpointsOf(json)) {
    const count = counts.get(service) ?? { ready: 0, all: 0 };
    counts.set(service, { ready: count.ready + (isHealthy ? 1 : 0), all: count.all + 1 });
  }
  return listAt(json, 'services').map((service) => {
    const { ready, all } = counts.get(service) ?? { ready: 0, all: 0 };
    const namespace = textAt(service, 'namespace');
    const addresses = vipsOf(service);
    return {
      cells: [
        namespace,
        textAt(service, 'name'),
        addresses.join(','),
        waypointOf(service),
        `${ready}/${all}`,
      ],
      data: service,
      namespace,
      addresses,
      fqdn: textAt(service, 'hostname'),
      ports: portsOf(service, 'ports').map(({ port }) => port),
    };
  });
}

export const ENDPOINT_COLUMNS = ['ENDPOINT', 'STATUS', 'WORKLOAD', 'PROTOCOL', 'CLUSTER'];

/** One for each port of a service on a workload; `CLUSTER` as Envoy would name it. */
export function endpointRows({ json }: ProxyDump): readonly Row[] {
  return endpointsOf(json).flatMap(({ service, workload, uid, isHealthy, ports }) => {
    const fqdn = textAt(service, 'hostname');
    const [address = '-'] = addressesOf(workload);
    return ports.map(({ port, targetPort }): Row => {
      const shown = targetPort === 0 ? port : targetPort;
      return {
        cells: [
          `${address.includes(':') ? `[${address}]` : address}:${shown}`,
          isHealthy ? 'HEALTHY' : 'UNHEALTHY',
          `${textAt(workload, 'namespace')}/${textAt(workload, 'name')}`,
          protocolOf(workload),
          `outbound|${port}||${fqdn}`,
        ],
        data: { service: fqdn, port, targetPort, address, workloadUid: uid, isHealthy },
        namespace: textAt(service, 'namespace'),
        fqdn,
        ports: [port],
        addresses: [address],
      };
    });
  });
}

export const CERTIFICATE_COLUMNS = [
  'CERTIFICATE NAME',
  'TYPE',
  'STATUS',
  'VALID CERT',
  'SERIAL NUMBER',
  'NOT AFTER',
  'NOT BEFORE',
  'LEFT',
];

export function certificateRows({ json }: ProxyDump, nowMs: number): readonly Row[] {
  return listAt(json, 'certificates').flatMap((entry): readonly Row[] => {
    const identity = textAt(entry, 'identity');
    const status = textAt(entry, 'state');
    const [, namespace = ''] = /\/ns\/([^/]+)\//.exec(identity) ?? [];
    const chain = listAt(entry, 'certChain');
    const roots = listAt(entry, 'rootCerts');
    if (chain.length === 0) {
      return [{ cells: [identity, 'Leaf', status, 'false'], data: entry, namespace }];
    }
    return [
      ...chain.map((one, i) => [one, i === 0 ? 'Leaf' : 'Intermediate'] as const),
      ...roots.map((one) => [one, 'Root'] as const),
    ].map(([one, type]) => {
      const notBefore = textAt(one, 'validFrom');
      const notAfter = textAt(one, 'expirationTime');
      const leftMs = Date.parse(notAfter) - nowMs;
      const isValid = leftMs > 0 && Date.parse(notBefore) <= nowMs;
      return {
        cells: [
          identity,
          type,
          status,
          String(isValid),
          textAt(one, 'serialNumber'),
          notAfter,
          notBefore,
          leftMs > 0 ? formatSpan(leftMs) : 'expired',
        ],
        data: { identity, type, state: status, isValid, ...describe(one) },
        namespace,
      };
    });
  });
}

/** Without the certificate itself. */
function describe(certificate: unknown): object {
  return {
    serialNumber: fieldAt(certificate, 'serialNumber'),
    validFrom: fieldAt(certificate, 'validFrom'),
    expirationTime: fieldAt(certificate, 'expirationTime'),
  };
}
