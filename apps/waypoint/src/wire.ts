/** Builds the waypoint from its settings: plain constructor calls, defaults written out. Starts nothing. */
import type { Clock } from '@ambit/core';
import { CertificateManager, type CrlWatch, RootWatch } from '@ambit/identity';
import { trimMemory } from '@ambit/netns';
import type { Logger, LogLevels } from '@ambit/telemetry';
import {
  certificateAuthorityOf,
  createCertificateClient,
  createProxyClient,
  revocationsOfProxy,
  TYPE_URL,
  VERSION_METADATA,
} from '@ambit/xds';
import { identityOf, type WaypointConfig } from './config.ts';
import { subscriptionsOf } from './control/controller-link.ts';
import { MeshState } from './control/mesh-state.ts';
import { OwnCertificate } from './control/own-certificate.ts';
import type { WorkerConfig } from './proxy/messages.ts';
import { Waypoint } from './waypoint.ts';
import { WorkerPool } from './workers/worker-pool.ts';
import { type SpawnWorker, threadSpawner } from './workers/worker-port.ts';

export interface Surroundings {
  readonly clock: Clock;
  readonly log: Logger;
  readonly levels: LogLevels;
  readonly version: string;
  /** Ends the process after a drain. */
  readonly quit: () => void;
  /** Default: threads. */
  readonly spawn?: SpawnWorker;
}

export function buildWaypoint(config: WaypointConfig, around: Surroundings): Waypoint {
  const { clock, log } = around;
  const state = new MeshState();
  const workers: WorkerPool = new WorkerPool({
    count: config.workers,
    clock,
    log: log.scoped('workers'),
    spawn:
      around.spawn ??
      threadSpawner({
        entry: new URL('./proxy/worker-main.ts', import.meta.url),
        workerData: workerConfig(config),
        heapBytes: config.workerHeapBytes,
      }),
    onCollected: trimMemory,
    state: () => [
      ...(crls === undefined ? [] : [{ kind: 'revocations', state: crls.state } as const]),
      ...certificate.message,
      ...state.changes(),
    ],
  });
  const certificate = new OwnCertificate({
    log: log.scoped('certificates'),
    tell: (message) => workers.broadcast(message),
  });
  const crls: CrlWatch | undefined = revocationsOfProxy(config, {
    clock,
    log: log.scoped('revocations'),
    tell: (state) => workers.broadcast({ kind: 'revocations', state }),
  });
  const authorityAddress = certificateAuthorityOf(config);
  const authority = createCertificateClient({
    ...authorityAddress,
    // The waypoint asks for its own identity alone: its token says who it is.
    impersonate: false,
  });
  const manager = new CertificateManager({
    clock,
    sign: authority.sign,
    ttlSeconds: config.secretTtlSeconds,
    onEvent: certificate.onEvent,
  });
  const client = createProxyClient(config, {
    clock,
    log: log.scoped('xds'),
    type: 'waypoint',
    ip: config.instanceIp,
    metadata: {
      GATEWAY: `${config.gateway.namespace}/${config.gateway.name}`,
      ...(config.nodeName === '' ? {} : { NODE_NAME: config.nodeName }),
      [VERSION_METADATA]: around.version,
    },
    subscriptions: subscriptionsOf(
      state,
      async (change) => await workers.apply(change),
      config.className,
    ),
    onConnected: () => manager.retryFailed(),
  });
  const rootsLog = log.scoped('roots');
  const roots = new RootWatch({
    clock,
    manager,
    read: authorityAddress.rootCa,
    announce: (said) => client.setNames(TYPE_URL.trust, said),
    onChange: () => rootsLog.info('the roots of the mesh changed'),
    onError: (reason) => rootsLog.warn('the roots of the mesh cannot be read', { reason }),
  });
  const waypoint: Waypoint = new Waypoint({
    ...around,
    config,
    state,
    workers,
    authority,
    manager,
    roots,
    crls,
    certificate,
    client,
  });
  return waypoint;
}

export function workerConfig(config: WaypointConfig): WorkerConfig {
  return {
    ...config.gateway,
    className: config.className,
    serviceName: config.serviceName,
    identity: identityOf(config),
    trustDomain: config.trustDomain,
    rootNamespace: config.rootNamespace,
    clusterDomain: config.clusterDomain,
    network: config.network,
    logSpec: config.logLevel,
    memoryLimitBytes: config.limits.memoryBytes,
  };
}
