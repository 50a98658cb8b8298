/** Network addresses, gateways and ports of services, both ways. */
import type { GatewayAddress, NetworkAddress, PortMapping } from '@ambit/model';
import { create } from '@bufbuild/protobuf';

import { invalidResource } from '../errors.ts';
import {
  AppProtocol,
  type GatewayAddress as GatewayAddressMessage,
  GatewayAddressSchema,
  type NetworkAddress as NetworkAddressMessage,
  NetworkAddressSchema,
  type Port as PortMessage,
  PortSchema,
} from '../gen/istio/workload/workload_pb.ts';
import { checkPort, decodeCidr, decodeIp, encodeIp, enumNames } from './primitives.ts';

const appProtocolName = enumNames(AppProtocol, 'AppProtocol');

export function encodeNetworkAddress(address: NetworkAddress): NetworkAddressMessage {
  return create(NetworkAddressSchema, {
    network: address.network,
    address: encodeIp(address.address),
    ...(address.length === undefined ? {} : { length: address.length }),
  });
}

/** A full-length prefix is a host. */
export function decodeNetworkAddress(message: NetworkAddressMessage): NetworkAddress {
  const host = { network: message.network, address: decodeIp(message.address) };
  if (message.length === undefined) {
    return host;
  }
  const { address, length } = decodeCidr(message.address, message.length);
  return length === address.length * 8 ? host : { ...host, length };
}

export function encodeGatewayAddress(gateway: GatewayAddress): GatewayAddressMessage {
  const { destination, hboneMtlsPort } = gateway;
  return create(GatewayAddressSchema, {
    destination:
      destination.kind === 'hostname'
        ? {
            case: 'hostname',
            value: { ...destination.hostname, $typeName: 'istio.workload.NamespacedHostname' },
          }
        : { case: 'address', value: encodeNetworkAddress(destination.address) },
    hboneMtlsPort,
  });
}

export function decodeGatewayAddress(message: GatewayAddressMessage): GatewayAddress {
  const { destination } = message;
  const hboneMtlsPort = checkPort(message.hboneMtlsPort, 'hbone_mtls_port');
  switch (destination.case) {
    case 'hostname': {
      const { namespace, hostname } = destination.value;
      return {
        destination: { kind: 'hostname', hostname: { namespace, hostname } },
        hboneMtlsPort,
      };
    }
    case 'address': {
      const address = decodeNetworkAddress(destination.value);
      return { destination: { kind: 'address', address }, hboneMtlsPort };
    }
    case undefined:
      throw invalidResource('a gateway without destination');
  }
}

export function encodePort(port: PortMapping): PortMessage {
  return create(PortSchema, {
    servicePort: port.servicePort,
    targetPort: port.targetPort,
    appProtocol: AppProtocol[port.appProtocol],
  });
}

export function decodePort(message: PortMessage): PortMapping {
  return {
    servicePort: checkPort(message.servicePort, 'service_port'),
    targetPort: checkPort(message.targetPort, 'target_port'),
    appProtocol: appProtocolName(message.appProtocol),
  };
}
