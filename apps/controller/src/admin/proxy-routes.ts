/** Proxies, certificates and the configuration as it is pushed. */
import type { AdminController, AdminProxies } from '@ambit/model';
import { type AdminRoute, jsonResponse } from '@ambit/telemetry';
import type { StreamView } from '@ambit/xds';

import type { IssuedCertificates } from '../authority.ts';
import type { ControllerConfig } from '../config.ts';
import { shortType } from '../metrics.ts';
import type { ModelResources } from '../serve/model-resources.ts';
import type { ProxyTable } from '../serve/proxy-table.ts';

export interface ProxyRouteSources {
  readonly config: ControllerConfig;
  readonly proxies: ProxyTable;
  readonly issued: IssuedCertificates;
  readonly resources: ModelResources;
  readonly controller: () => AdminController;
  /** What is known of other replicas. Default: there are none. */
  readonly replicas?: () => unknown;
}

export function proxyRoutes(sources: ProxyRouteSources): readonly AdminRoute[] {
  const { config, proxies, issued, resources, controller, replicas } = sources;
  return [
    {
      method: 'GET',
      path: '/v1/proxies',
      summary: 'proxies, what they subscribe to and have acknowledged',
      handle: () => {
        const body: AdminProxies = { controller: controller(), proxies: proxies.list() };
        return jsonResponse(body);
      },
    },
    {
      method: 'GET',
      path: '/v1/certificates',
      summary: 'certificates that were issued last',
      handle: () => jsonResponse({ items: issued.list() }),
    },
    {
      method: 'GET',
      path: '/config_dump',
      summary: 'settings, resources by type, versions that proxies hold',
      handle: () =>
        jsonResponse({
          config: { ...config, logLevels: config.logLevels.toString() },
          controller: controller(),
          resources: Object.fromEntries(
            Object.entries(resources.counts()).map(([typeUrl, count]) => [
              shortType(typeUrl),
              count,
            ]),
          ),
          streams: proxies.streams.map(describeStream),
          ...(replicas === undefined ? {} : { replicas: replicas() }),
        }),
    },
  ];
}

function describeStream({ id, node, caller, connectedAtMs, types }: StreamView): unknown {
  return {
    id,
    node: node?.id,
    caller: `${caller.namespace}/${caller.serviceAccount}`,
    connectedAtMs,
    types: Object.fromEntries(
      [...types].map(([typeUrl, type]) => [
        shortType(typeUrl),
        {
          isWildcard: type.isWildcard,
          isSettled: type.isSettled,
          sequence: type.lastSequence,
          acknowledgedSequence: type.ackedSequence,
          acknowledged: Object.fromEntries(type.acked),
          refused: Object.fromEntries(type.rejected),
        },
      ]),
    ),
  };
}
