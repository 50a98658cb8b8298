/** How a proxy reaches its control plane: addresses from its settings, and the client of its configuration. */
import type { Clock } from '@ambit/core';
import type { Logger } from '@ambit/telemetry';
import { DeltaClient } from './client/delta-client.ts';
import type { Subscription } from './client/subscription.ts';
import { type ControlPlaneAddress, fileText, tokenFile } from './grpc/channel.ts';
import { openDeltaStream } from './grpc/delta-transport.ts';
import { buildNode, type NodeFields } from './node.ts';
import type { ProxySettings } from './proxy-settings.ts';

type Headers = Readonly<Record<string, string>>;

/** `headers` are sent with every call. */
export function certificateAuthorityOf(
  settings: ProxySettings,
  headers: Headers = {},
): ControlPlaneAddress {
  return controlPlaneOf(settings, settings.caAddress, settings.caRootCa, headers);
}

export interface ProxyClientOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly type: NodeFields['type'];
  readonly ip: string;
  /** Added to, and before, what the settings say. */
  readonly metadata: Headers;
  readonly headers?: Headers;
  readonly subscriptions: readonly Subscription[];
  /** For each stream that was opened. */
  readonly onConnected?: () => void;
}

/** Starts nothing. */
export function createProxyClient(
  settings: ProxySettings,
  options: ProxyClientOptions,
): DeltaClient {
  const { clock, log, type, ip, metadata, headers = {}, subscriptions } = options;
  const { xdsAddress: address, xdsRootCa, podName, podNamespace, clusterDomain } = settings;
  return new DeltaClient({
    clock,
    open: openDeltaStream(controlPlaneOf(settings, address, xdsRootCa, headers)),
    node: buildNode({
      type,
      ip,
      podName,
      namespace: podNamespace,
      clusterDomain,
      metadata: {
        SERVICE_ACCOUNT: settings.serviceAccount,
        CLUSTER_ID: settings.clusterId,
        ...metadata,
      },
    }),
    subscriptions,
    onConnected: () => {
      log.info('connected to the controller', { address });
      options.onConnected?.();
    },
    onDisconnected: (reason) => log.warn('no connection to the controller', { reason }),
  });
}

function controlPlaneOf(
  { tokenPath, clusterId }: ProxySettings,
  address: string,
  rootCa: string,
  headers: Headers,
): ControlPlaneAddress {
  return { address, rootCa: fileText(rootCa), token: tokenFile(tokenPath), clusterId, headers };
}
