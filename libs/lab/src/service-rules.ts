/**
 * Service addresses for clients outside the mesh, as nft rules of one node: what kube-proxy does in a cluster.
 *
 * A connection goes to one ready endpoint at random; to a service without any it is refused at once. Pure text.
 */
import type { DualAddress } from './addresses.ts';

export interface ServiceRule {
  /** Of one family; the service's addresses that are reached by rule (none for headless ones). */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  /** Ready endpoints, of either family. */
  readonly endpoints: readonly { readonly address: string; readonly port: number }[];
}

const TABLE = 'ambit-lab';

/**
 * A whole ruleset of one node, to be applied in one transaction; it replaces what the lab wrote before. A pod that
 * reaches itself through a service sees `gateway`, the node's address among its pods, as the client.
 */
export function serviceRules(services: readonly ServiceRule[], gateway: DualAddress): string {
  const translations = services.flatMap(translate);
  const endpoints = services.flatMap((service) => service.endpoints.map(({ address }) => address));
  const hairpins = [...new Set(endpoints)].sort().map((address) => {
    const family = familyOf(address);
    const source = family === 'ip' ? gateway.v4 : gateway.v6;
    return `ct status dnat ${family} saddr ${address} ${family} daddr ${address} snat ${family} to ${source}`;
  });
  return [
    `table inet ${TABLE}`,
    `delete table inet ${TABLE}`,
    `table inet ${TABLE} {`,
    '  chain translate {',
    ...translations.map((rule) => `    ${rule}`),
    '  }',
    '  chain prerouting {',
    '    type nat hook prerouting priority dstnat; policy accept;',
    '    jump translate',
    '  }',
    '  chain output {',
    '    type nat hook output priority -100; policy accept;',
    '    jump translate',
    '  }',
    '  chain refuse {',
    ...services.flatMap(refuse).map((rule) => `    ${rule}`),
    '  }',
    '  chain forward {',
    '    type filter hook forward priority filter; policy accept;',
    '    jump refuse',
    '  }',
    '  chain local {',
    '    type filter hook output priority filter; policy accept;',
    '    jump refuse',
    '  }',
    '  chain postrouting {',
    '    type nat hook postrouting priority srcnat; policy accept;',
    ...hairpins.map((rule) => `    ${rule}`),
    '  }',
    '}',
    '',
  ].join('\n');
}

function familyOf(address: string): 'ip' | 'ip6' {
  return address.includes(':') ? 'ip6' : 'ip';
}

function endpointsFor(service: ServiceRule, address: string): ServiceRule['endpoints'] {
  return service.endpoints.filter((endpoint) => familyOf(endpoint.address) === familyOf(address));
}

function translate(service: ServiceRule): string[] {
  return service.addresses.flatMap((address) => {
    const family = familyOf(address);
    const endpoints = endpointsFor(service, address);
    if (endpoints.length === 0) {
      return [];
    }
    const targets = endpoints.map((endpoint, i) => `${i} : ${endpoint.address} . ${endpoint.port}`);
    const match = `${family} daddr ${address} ${service.protocol} dport ${service.port}`;
    return [
      `${match} dnat ${family} to numgen random mod ${targets.length} map { ${targets.join(', ')} }`,
    ];
  });
}

function refuse(service: ServiceRule): string[] {
  return service.addresses.flatMap((address) => {
    if (endpointsFor(service, address).length > 0) {
      return [];
    }
    const answer = service.protocol === 'tcp' ? 'reject with tcp reset' : 'reject';
    return [
      `${familyOf(address)} daddr ${address} ${service.protocol} dport ${service.port} ${answer}`,
    ];
  });
}
