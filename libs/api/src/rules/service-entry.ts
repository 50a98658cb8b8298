/** Rules of ServiceEntry and WorkloadEntry. */
import { isHostname } from '../value/host.ts';
import { parseCidr, parseIp } from '../value/ip.ts';
import { exportToRules } from './export-to.ts';
import { complainDuplicates, type View } from './view.ts';

/** Everything of §2.16 about a ServiceEntry. */
export function serviceEntryRules(root: View): void {
  const spec = root.at('spec');
  if (!spec.exists) return;
  const hosts = spec.at('hosts');
  if (!hosts.isSaid) hosts.complain({ code: 'REQUIRED_FIELD', message: 'is required' });
  complainDuplicates(hosts.items, 'host', (host) => host.text?.toLowerCase());
  for (const host of hosts.items) {
    if (host.text === '*')
      host.complain({
        code: 'INVALID_HOST',
        message: '"*" would be every host',
        fix: 'name the hosts',
      });
  }
  const ports = spec.at('ports').items;
  complainDuplicates(
    ports.map((port) => port.at('name')),
    'port name',
    (name) => name.text || undefined,
  );
  complainDuplicates(
    ports.map((port) => port.at('number')),
    'port',
    (number) => number.number?.toString(),
  );
  if (ports.length > 1) {
    for (const port of ports) {
      if (!port.at('name').text)
        port.at('name').complain({
          code: 'REQUIRED_FIELD',
          message: 'is required where there are several ports',
        });
    }
  }
  if (ports.length === 0)
    spec.at('ports').complain({
      code: 'NO_EFFECT',
      severity: 'warning',
      message: 'has no ports: nothing can be reached',
    });
  addressRules(spec);
  resolutionRules(spec);
  if (spec.at('endpoints').isSaid && spec.at('workloadSelector').exists) {
    spec.at('workloadSelector').complain({
      code: 'CONFLICTING_FIELDS',
      message: 'cannot stand beside endpoints',
      fix: 'remove one of them',
    });
  }
  for (const endpoint of spec.at('endpoints').items) {
    const names = ports.map((port) => port.at('name').text);
    for (const [name, view] of endpoint.at('ports').fields) {
      if (!names.includes(name))
        view.complain({
          code: 'UNKNOWN_PORT',
          message: 'is not the name of a port of this object',
          allowed: names.join(', '),
        });
    }
    localityRules(endpoint.at('locality'));
  }
  exportToRules(spec.at('exportTo'), { allowsNobody: true });
}

function addressRules(spec: View): void {
  const resolution = spec.at('resolution').text ?? 'NONE';
  const addresses = spec.at('addresses').items;
  complainDuplicates(addresses, 'address');
  for (const address of addresses) {
    const isRange = address.text?.includes('/') && parseCidr(address.text) !== undefined;
    if (isRange && resolution !== 'NONE' && resolution !== 'STATIC') {
      address.complain({
        code: 'CONFLICTING_FIELDS',
        message: `a CIDR cannot be resolved by ${resolution}`,
        allowed: 'resolution NONE or STATIC',
      });
    }
  }
  if (addresses.length === 0 && resolution === 'NONE') {
    for (const port of spec.at('ports').items) {
      if ((port.at('protocol').text ?? 'TCP') === 'TCP') {
        port.complain({
          code: 'ADDRESS_REQUIRED',
          severity: 'warning',
          message:
            'is TCP without addresses and resolution NONE: connections can only be told apart by address',
          fix: 'write addresses, or resolution: DNS',
        });
      }
    }
  }
}

function resolutionRules(spec: View): void {
  const resolution = spec.at('resolution').text ?? 'NONE';
  const endpoints = spec.at('endpoints');
  const hosts = spec.at('hosts').items;
  const isWildcard = (host: View) => host.text?.startsWith('*') === true;
  if (resolution === 'NONE' && endpoints.isSaid) {
    endpoints.complain({
      code: 'CONFLICTING_FIELDS',
      message: 'cannot stand beside resolution NONE',
      fix: 'write resolution: STATIC',
    });
  }
  if (resolution === 'STATIC') {
    if (!endpoints.isSaid && !spec.at('workloadSelector').exists) {
      spec.complain({
        code: 'NO_EFFECT',
        severity: 'warning',
        message:
          'resolution STATIC without endpoints or workloadSelector: there is nobody to connect to',
      });
    }
    for (const endpoint of endpoints.items) {
      const address = endpoint.at('address');
      if (parseIp(address.text ?? '') === undefined && !address.text?.startsWith('unix://')) {
        address.complain({
          code: 'INVALID_ADDRESS',
          message: 'is not an IP address, which resolution STATIC needs',
          fix: 'write resolution: DNS',
        });
      }
    }
  }
  if (resolution === 'DNS' || resolution === 'DNS_ROUND_ROBIN') {
    for (const host of hosts) {
      if (isWildcard(host) && !endpoints.isSaid)
        host.complain({
          code: 'INVALID_HOST',
          message: 'a wildcard cannot be looked up in DNS',
          fix: 'write resolution: NONE, or endpoints',
        });
    }
    if (resolution === 'DNS_ROUND_ROBIN' && endpoints.items.length > 1) {
      endpoints.complain({
        code: 'OUT_OF_RANGE',
        message: 'DNS_ROUND_ROBIN takes at most one endpoint',
      });
    }
    for (const endpoint of endpoints.items) {
      const address = endpoint.at('address');
      if (
        address.text === undefined ||
        (!isHostname(address.text, { wildcard: false }) && parseIp(address.text) === undefined)
      ) {
        address.complain({
          code: 'INVALID_ADDRESS',
          message: 'is neither a DNS name nor an IP address',
        });
      }
    }
  }
  if (resolution === 'DYNAMIC_DNS') dynamicRules(spec, hosts, isWildcard);
}

function dynamicRules(
  spec: View,
  hosts: readonly View[],
  isWildcard: (host: View) => boolean,
): void {
  for (const host of hosts) {
    if (!isWildcard(host))
      host.complain({
        code: 'INVALID_HOST',
        message: 'DYNAMIC_DNS is for wildcards only',
        fix: 'write resolution: DNS',
      });
  }
  for (const field of spec.said(['addresses', 'endpoints'])) {
    spec.at(field).complain({
      code: 'CONFLICTING_FIELDS',
      message: 'cannot stand beside resolution DYNAMIC_DNS',
      fix: 'remove it',
    });
  }
  for (const port of spec.at('ports').items) {
    const protocol = port.at('protocol');
    if (!['HTTP', 'HTTP2', 'GRPC', 'TLS'].includes(protocol.text ?? 'TCP')) {
      protocol.complain({
        code: 'INVALID_VALUE',
        message: 'DYNAMIC_DNS needs a protocol that names its host',
        allowed: 'HTTP, HTTP2, GRPC, TLS',
      });
    }
  }
}

function localityRules(locality: View): void {
  const value = locality.text;
  if (value === undefined || value === '') return;
  if (!/^[^/]+(?:\/[^/]+){0,2}$/.test(value)) {
    locality.complain({
      code: 'INVALID_VALUE',
      message: 'is not a locality',
      allowed: 'region/zone/subzone',
    });
  }
}

/** Rules of a WorkloadEntry. */
export function workloadEntryRules(root: View): void {
  const spec = root.at('spec');
  const address = spec.at('address');
  const value = address.text ?? '';
  if (value.startsWith('unix://')) {
    address.complain({
      code: 'INVALID_ADDRESS',
      message: 'unix sockets cannot be reached from other machines',
      allowed: 'an IP address or DNS name',
    });
  } else if (
    value !== '' &&
    parseIp(value) === undefined &&
    !isHostname(value, { wildcard: false })
  ) {
    address.complain({
      code: 'INVALID_ADDRESS',
      message: 'is neither an IP address nor a DNS name',
    });
  }
  localityRules(spec.at('locality'));
}
