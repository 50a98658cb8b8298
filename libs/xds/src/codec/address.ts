/** The Address resource: a workload or a service, with its name and aliases. */
import type { Address, NetworkAddress } from '@ambit/model';
import { create, toBinary } from '@bufbuild/protobuf';

import { invalidResource } from '../errors.ts';
import { AddressSchema } from '../gen/istio/workload/workload_pb.ts';
import { decodeMessage } from './primitives.ts';
import { decodeService, encodeService } from './service.ts';
import { decodeWorkload, encodeWorkload } from './workload.ts';

export function encodeAddress(address: Address): Uint8Array {
  return toBinary(
    AddressSchema,
    create(AddressSchema, {
      type:
        address.kind === 'workload'
          ? { case: 'workload', value: encodeWorkload(address.workload) }
          : { case: 'service', value: encodeService(address.service) },
    }),
  );
}

/**
 * Throws XDS_RESOURCE_INVALID, also when the content has another name than the resource: it could
 * never be removed.
 */
export function decodeAddress(name: string, value: Uint8Array): Address {
  const { type } = decodeMessage(AddressSchema, value);
  if (type.case === undefined) {
    throw invalidResource('an address that is neither workload nor service');
  }
  const address: Address =
    type.case === 'workload'
      ? { kind: 'workload', workload: decodeWorkload(type.value) }
      : { kind: 'service', service: decodeService(type.value) };
  if (addressName(address) !== name) {
    throw invalidResource(
      `its content is named ${JSON.stringify(addressName(address).slice(0, 80))}`,
    );
  }
  return address;
}

export function addressName(address: Address): string {
  return address.kind === 'workload'
    ? address.workload.uid
    : `${address.service.namespace}/${address.service.hostname}`;
}

/** `network/ip` of each address, CIDRs with their length. Workloads of the host network have none. */
export function addressAliases(address: Address): string[] {
  if (address.kind === 'service') {
    return address.service.addresses.map(networkAddressName);
  }
  const { network, addresses, networkMode } = address.workload;
  return networkMode === 'HOST_NETWORK' ? [] : addresses.map((ip) => `${network}/${ip}`);
}

function networkAddressName({ network, address, length }: NetworkAddress): string {
  return `${network}/${address}${length === undefined ? '' : `/${length}`}`;
}
