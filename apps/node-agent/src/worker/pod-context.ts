/** What the three listeners of one pod share. */
import type { Clock } from '@ambit/core';
import { type ConnectionTracker, formatAddress, formatPlace, type Place } from '@ambit/proxy';
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
  readonly actualDst: string;
  readonly protocol: 'TCP' | 'HBONE';
}

export interface Tracked {
  /** As it is now. */
  readonly row: ConnectionRow;
  /** Absent: outbound, which policy does not judge. */
  readonly inbound?: InboundConnection;
}

export class TrackedInbound implements Tracked {
  readonly inbound: InboundConnection;

  constructor(inbound: InboundConnection) {
    this.inbound = inbound;
  }

  get row(): ConnectionRow {
    const { source, tunnel, original } = this.inbound;
    const to = tunnel?.authority ?? (original === undefined ? '' : formatPlace(original));
    const protocol = tunnel === undefined ? 'TCP' : 'HBONE';
    return { src: formatPlace(source), originalDst: to, actualDst: to, protocol };
  }
}

export class TrackedOutbound implements Tracked {
  readonly #source: Place;
  readonly #original: Place;
  /** Where it was sent to; undefined: not decided yet. */
  #sentTo: { readonly host: string; readonly port: number } | undefined;
  #isTunnel = false;

  constructor(source: Place, original: Place) {
    this.#source = source;
    this.#original = original;
  }

  sendTo(dial: { readonly host: string; readonly port: number }, isTunnel: boolean): void {
    this.#sentTo = dial;
    this.#isTunnel = isTunnel;
  }

  get row(): ConnectionRow {
    const sentTo = this.#sentTo;
    return {
      src: formatPlace(this.#source),
      originalDst: formatPlace(this.#original),
      actualDst: sentTo === undefined ? '' : formatAddress(sentTo.host, sentTo.port),
      protocol: this.#isTunnel ? 'HBONE' : 'TCP',
    };
  }
}

export interface PodContext extends WorkerContext {
  readonly pod: CapturedPod;
  readonly sockets: PodSockets;
  readonly inbound: ConnectionTracker<Tracked>;
  readonly outbound: ConnectionTracker<Tracked>;
}
