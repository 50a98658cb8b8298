/** Names for captured pods: one responder and its sockets for each, over one view of the mesh. */
import type { Clock } from '@ambit/core';
import type { Netns } from '@ambit/netns';
import type { Logger } from '@ambit/telemetry';
import { hasIpv6 } from '../capture/pod-network.ts';
import type { PodNames, ServedNames } from '../pods/captured-pod.ts';
import type { Pod } from '../pods/pod.ts';
import type { DnsMetrics } from './dns-metrics.ts';
import { NameResponder, type UpstreamNames } from './name-responder.ts';
import { NameServer } from './name-server.ts';
import type { NameView } from './resolve-name.ts';

export interface MeshNamesOptions {
  readonly view: NameView;
  readonly clusterDomain: string;
  readonly isIpv6Enabled: boolean;
  readonly upstream: UpstreamNames;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: DnsMetrics;
  readonly canonicalNameOf: (pod: Pod) => { readonly name: string; readonly revision: string };
}

export class MeshNames implements PodNames {
  readonly #options: MeshNamesOptions;

  constructor(options: MeshNamesOptions) {
    this.#options = options;
  }

  /** Sockets are open when it resolves. They are also open in pods whose names are not captured: nothing asks there. */
  async serve(pod: Pod, ns: Netns): Promise<ServedNames> {
    const { clock, metrics, isIpv6Enabled } = this.#options;
    const responder = new NameResponder({ ...this.#options, pod, ns, random: Math.random });
    const addresses = isIpv6Enabled && hasIpv6(ns) ? ['127.0.0.1', '::1'] : ['127.0.0.1'];
    return await NameServer.listen({ ns, addresses, responder, clock, metrics });
  }
}
