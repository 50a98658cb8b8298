/** Gateways as owners of what is made for them: their metadata, nothing else. */
import { type OwnerReference, Reflector } from '@ambit/kube';
import type { KubernetesContext } from '../context.ts';

export interface GatewayOwner {
  readonly reference: OwnerReference;
  /** Of the Service, `networking.istio.io/service-type`; as written. */
  readonly serviceType: string | undefined;
  /** `networking.istio.io/address-type`; as written. */
  readonly addressType: string | undefined;
}

const SERVICE_TYPE = 'networking.istio.io/service-type';
const ADDRESS_TYPE = 'networking.istio.io/address-type';

/** By `namespace/name`. A cluster without Gateway API has none. */
export function gatewayOwners(options: {
  readonly context: Pick<KubernetesContext, 'http' | 'discovery' | 'clock' | 'metrics'>;
  /** It came, went, or says something else. */
  readonly onChange: (gateway: string) => void;
}): Reflector<GatewayOwner> {
  const { http, discovery, clock, metrics } = options.context;
  return new Reflector<GatewayOwner>({
    http,
    discovery,
    clock,
    metrics,
    resource: {
      group: 'gateway.networking.k8s.io',
      resource: 'gateways',
      versions: ['v1', 'v1beta1'],
    },
    metadataOnly: true,
    prune: ({ apiVersion = '', kind = '', metadata }) => {
      const { name, uid = '', annotations = {} } = metadata;
      return {
        // Not `blockOwnerDeletion`: that takes a right on finalizers of Gateways where the server asks for it.
        reference: { apiVersion, kind, name, uid, controller: true },
        serviceType: annotations[SERVICE_TYPE],
        addressType: annotations[ADDRESS_TYPE],
      };
    },
    onEvent: (event) => {
      if ('key' in event && event.key !== undefined) options.onChange(event.key);
    },
  });
}
