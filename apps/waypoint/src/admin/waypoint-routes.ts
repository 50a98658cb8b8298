/** The waypoint's admin pages: what it holds, how it is connected, what its clusters do. */
import type { CertificateManager } from '@ambit/identity';
import { type AdminRoute, jsonResponse, textResponse } from '@ambit/telemetry';
import type { ClientStatus } from '@ambit/xds';
import type { WaypointConfig } from '../config.ts';
import type { MeshState } from '../control/mesh-state.ts';
import type { WorkerPool } from '../workers/worker-pool.ts';

export interface WaypointPages {
  readonly config: WaypointConfig;
  readonly version: string;
  readonly state: MeshState;
  readonly manager: CertificateManager;
  readonly workers: WorkerPool;
  readonly xdsStatus: () => ClientStatus;
  readonly quit: () => void;
}

export function waypointRoutes(pages: WaypointPages): readonly AdminRoute[] {
  const { config, version, state, manager, workers } = pages;
  const page = (path: string, summary: string, body: () => unknown): AdminRoute => ({
    method: 'GET',
    path,
    summary,
    handle: async () => jsonResponse(await body()),
  });
  return [
    page('/config_dump', 'everything that this waypoint holds', async () => ({
      version,
      config,
      workloads: state.addresses.flatMap((address) =>
        address.kind === 'workload' ? [address.workload] : [],
      ),
      services: state.addresses.flatMap((address) =>
        address.kind === 'service' ? [address.service] : [],
      ),
      objects: state.objects,
      certificates: manager.describe(),
      clusters: await workers.report('clusters'),
    })),
    page('/certs', 'the certificate of this waypoint', () => manager.describe()),
    page('/clusters', 'requests in flight and ejections, by worker', () =>
      workers.report('clusters'),
    ),
    page('/xds', 'the stream to the controller and what was acknowledged', () => pages.xdsStatus()),
    {
      method: 'POST',
      path: '/quitquitquit',
      summary: 'drain and end',
      handle: () => {
        pages.quit();
        return textResponse('shutting down\n');
      },
    },
  ];
}
