/** What the three listeners of one pod share. */
import type { Clock } from '@ambit/core';
import type { ConnectionTracker } from '@ambit/proxy';
import type { Logger } from '@ambit/telemetry';

import type { InboundConnection } from './admission.ts';
import type { CertificateStore } from './certificates.ts';
import type { WorkerConfig } from './config.ts';
import type { RecordContext } from './connection-record.ts';
import type { MeshState } from './mesh-state.ts';
import type { CapturedPod } from './messages.ts';
import type { PodSockets } from './pod-sockets.ts';

/** What the worker's parts share. */
export interface WorkerContext {
  readonly config: WorkerConfig;
  readonly clock: Clock;
  readonly mesh: MeshState;
  readonly certificates: CertificateStore;
  readonly log: Logger;
  readonly policyLog: Logger;
  readonly record: RecordContext;
  /** Looks up a workload that is known by name only. */
  readonly lookup: (hostname: string) => Promise<string>;
}

/** A row of the admin dump. */
export interface ConnectionRow {
  readonly src: string;
  readonly originalDst: string;
  actualDst: string;
  protocol: 'TCP' | 'HBONE';
}

export interface Tracked {
  readonly row: ConnectionRow;
  /** Absent: outbound, which policy does not judge. */
  readonly inbound?: InboundConnection;
}

export interface PodContext extends WorkerContext {
  readonly pod: CapturedPod;
  readonly sockets: PodSockets;
  readonly inbound: ConnectionTracker<Tracked>;
  readonly outbound: ConnectionTracker<Tracked>;
}
