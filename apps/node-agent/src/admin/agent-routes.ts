/** The agent's admin pages: what it holds, whom it serves, how it is. */
import type { Clock } from '@ambit/core';
import type { CertificateManager } from '@ambit/identity';
import { type AdminRoute, jsonResponse, textResponse } from '@ambit/telemetry';
import type { ClientStatus } from '@ambit/xds';
import { type AgentConfig, describeConfig } from '../config.ts';
import type { MeshState } from '../control/mesh-state.ts';
import { isRecord } from '../pods/pod.ts';
import type { PodRegistry, PodRow } from '../pods/pod-registry.ts';
import type { WorkerPool } from '../workers/worker-pool.ts';
import { configDump } from './config-dump.ts';
import { nodeCheck } from './node-check.ts';

export interface AgentPages {
  readonly config: AgentConfig;
  readonly version: string;
  readonly state: MeshState;
  readonly manager: CertificateManager | undefined;
  readonly registry: PodRegistry;
  readonly workers: WorkerPool;
  readonly clock: Clock;
  /** Absent where pods are announced by others. */
  readonly installer: { readonly problem: string | undefined } | undefined;
  readonly xdsStatus: () => ClientStatus | undefined;
  readonly quit: () => void;
}

export function agentRoutes(pages: AgentPages): readonly AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/config_dump',
      summary: 'everything that this agent holds',
      handle: async () => jsonResponse(await dump(pages)),
    },
    {
      method: 'GET',
      path: '/certs',
      summary: 'certificates by identity',
      handle: () => jsonResponse(pages.manager?.describe() ?? []),
    },
    {
      method: 'GET',
      path: '/xds',
      summary: 'the stream to the controller and what was acknowledged',
      handle: () => jsonResponse(pages.xdsStatus() ?? { connected: false, types: [] }),
    },
    {
      method: 'GET',
      path: '/pods',
      summary: 'pods of this node and their capture',
      handle: () => jsonResponse(pages.registry.rows),
    },
    {
      method: 'GET',
      path: '/v1/node-check',
      summary: 'kernel, network configuration, clock, and which other nodes can be reached',
      handle: async () => jsonResponse(await check(pages)),
    },
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

async function check(pages: AgentPages): Promise<object> {
  const { config, version, clock, state, registry, installer } = pages;
  return await nodeCheck({
    config,
    version,
    clock,
    workloads: state.workloads.values(),
    rows: registry.rows,
    connection: pages.xdsStatus(),
    cniProblem: installer?.problem,
  });
}

async function dump(pages: AgentPages) {
  const { config, version, state, manager, registry, workers } = pages;
  return configDump({
    workloads: state.workloads.values(),
    services: state.services.values(),
    endpoints: (key) => state.index.endpoints(key),
    policies: state.policies.values(),
    certificates: manager?.describe() ?? [],
    config: describeConfig(config),
    version,
    workloadState: workloadState(registry.rows, await workers.report('connections')),
  });
}

interface Connections {
  readonly inbound: readonly unknown[];
  readonly outbound: readonly unknown[];
}

/** Rows of all workers joined, by pod; a pod that no worker serves yet is `Pending`. */
function workloadState(rows: readonly PodRow[], reports: readonly unknown[]) {
  const shown = rows.filter(({ isWanted, state }) => isWanted || state !== 'idle');
  return Object.fromEntries(
    shown.map(({ pod, state, isWanted, reason, lastError }) => [
      pod.uid,
      {
        state: state === 'captured' || !isWanted ? 'Up' : 'Pending',
        connections: connectionsOf(pod.uid, reports),
        info: {
          name: pod.name,
          namespace: pod.namespace,
          serviceAccount: pod.serviceAccount,
        },
        capture: { state, reason, ...(lastError === undefined ? {} : { lastError }) },
      },
    ]),
  );
}

function connectionsOf(uid: string, reports: readonly unknown[]): Connections {
  const lists = (direction: 'inbound' | 'outbound'): readonly unknown[] =>
    reports.flatMap((report) => {
      const pod = isRecord(report) ? report[uid] : undefined;
      const connections = isRecord(pod) ? pod['connections'] : undefined;
      const list = isRecord(connections) ? connections[direction] : undefined;
      return Array.isArray(list) ? list : [];
    });
  return { inbound: lists('inbound'), outbound: lists('outbound') };
}
