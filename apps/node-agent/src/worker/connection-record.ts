/**
 * One connection from routing to its end: metrics and the line in the access log.
 *
 * Rule: `received` is client to server and `sent` server to client for both reporters; the log counts
 * from the local workload's view.
 */
import type { Clock, MeshError } from '@ambit/core';
import type { Workload } from '@ambit/model';
import type { RuleRef } from '@ambit/policy';
import { formatPlace, type Place } from '@ambit/proxy';
import { workloadIdentity } from '@ambit/routing';
import { describeError, type Logger } from '@ambit/telemetry';

import { flagOf } from './errors.ts';
import type { MetricEnd, MetricLabels, Series, TcpMetrics } from './tcp-metrics.ts';

export interface RecordEnd {
  readonly place: Place;
  readonly workload?: Workload | undefined;
  /** `spiffe://…`, only where TLS proved or will prove it. */
  readonly identity?: string | undefined;
}

export interface ConnectionDescription {
  readonly direction: 'inbound' | 'outbound';
  readonly source: RecordEnd;
  readonly destination: RecordEnd;
  /** The authority of the tunnel. */
  readonly hboneAddress?: string | undefined;
  readonly service?:
    | { readonly hostname: string; readonly namespace: string; readonly name: string }
    | undefined;
  /** Who asked the waypoint, by its word (`x-ambit-source`). */
  readonly caller?: string | undefined;
}

/** Why policy refused, as fields of the line. */
export interface Refusal {
  readonly policy?: RuleRef | undefined;
}

export interface RecordContext {
  readonly clock: Clock;
  readonly metrics: TcpMetrics;
  readonly log: Logger;
}

export class ConnectionRecord {
  readonly description: ConnectionDescription;
  readonly #context: RecordContext;
  readonly #startedAt: number;
  readonly #series: Series;
  #received = 0;
  #sent = 0;
  #isFinished = false;

  /** Counts `opened`: make it once routing is decided, before policy and before the dial. */
  constructor(description: ConnectionDescription, context: RecordContext) {
    this.description = description;
    this.#context = context;
    this.#startedAt = context.clock.now();
    this.#series = context.metrics.series(labelsOf(description), '-');
    this.#series.opened += 1;
    if (context.log.isEnabled('debug')) {
      context.log.debug('connection opened', this.#fields());
    }
  }

  /** Per chunk; `isRequest`: from the client to the server. */
  onBytes(isRequest: boolean, bytes: number): void {
    if (isRequest) {
      this.#received += bytes;
      this.#series.received += bytes;
    } else {
      this.#sent += bytes;
      this.#series.sent += bytes;
    }
  }

  /** Idempotent; the first outcome is the one reported. */
  finish(error?: MeshError, refusal: Refusal = {}): void {
    if (this.#isFinished) {
      return;
    }
    this.#isFinished = true;
    const { metrics, log } = this.#context;
    const final =
      error === undefined
        ? this.#series
        : metrics.series(labelsOf(this.description), flagOf(error));
    final.closed += 1;
    if (error === undefined) {
      if (log.isEnabled('info')) {
        log.info('connection complete', this.#fields());
      }
      return;
    }
    final.failed += 1;
    const { policy } = refusal;
    log.error('connection complete', {
      ...this.#fields(),
      error: describeError(error),
      code: error.code,
      response_flags: flagOf(error),
      ...(policy && { policy: policy.policy, rule: policy.rule, clause: policy.clause }),
    });
  }

  /**
   * It failed before the client had sent a byte, and another endpoint is asked. The end of this record. `isAgain`: that one was
   * asked before, and both are counted and in the log already.
   */
  retried(error: MeshError, isAgain = false): void {
    this.#isFinished = true;
    const { metrics, log } = this.#context;
    if (isAgain) {
      this.#series.closed += 1;
      return;
    }
    const series = metrics.series(labelsOf(this.description), flagOf(error));
    series.closed += 1;
    series.failed += 1;
    log.warn('no answer, another endpoint is asked', {
      ...this.#fields(),
      error: describeError(error),
      code: error.code,
      response_flags: flagOf(error),
    });
  }

  #fields(): Record<string, unknown> {
    const { direction, source, destination, hboneAddress, service, caller } = this.description;
    const isInbound = direction === 'inbound';
    return {
      'src.addr': formatPlace(source.place),
      'src.workload': source.workload?.name,
      'src.namespace': source.workload?.namespace,
      'src.identity': source.identity,
      'src.cluster': source.workload?.clusterId,
      'src.caller': caller,
      'dst.addr': formatPlace(destination.place),
      'dst.hbone_addr': hboneAddress,
      'dst.service': service?.hostname,
      'dst.workload': destination.workload?.name,
      'dst.namespace': destination.workload?.namespace,
      'dst.identity': destination.identity,
      'dst.cluster': destination.workload?.clusterId,
      direction,
      bytes_sent: isInbound ? this.#sent : this.#received,
      bytes_recv: isInbound ? this.#received : this.#sent,
      duration: `${Math.round(this.#context.clock.now() - this.#startedAt)}ms`,
    };
  }
}

/** A connection that ended before it was classified has a line and no metrics. */
export function logEarlyFailure(
  log: Logger,
  options: {
    readonly direction: 'inbound' | 'outbound';
    readonly pod: { readonly name: string; readonly namespace: string };
    readonly source: string;
    readonly destination: string;
    readonly error: MeshError;
  },
): void {
  const { direction, pod } = options;
  const end = direction === 'inbound' ? 'dst' : 'src';
  log.warn('connection failed', {
    'src.addr': options.source,
    'dst.addr': options.destination,
    [`${end}.workload`]: pod.name,
    [`${end}.namespace`]: pod.namespace,
    direction,
    error: describeError(options.error),
    code: options.error.code,
  });
}

function labelsOf(description: ConnectionDescription): MetricLabels {
  const { direction, source, destination, service } = description;
  return {
    reporter: direction === 'inbound' ? 'destination' : 'source',
    source: endOf(source),
    destination: endOf(destination),
    ...(service && { service }),
    isMutualTls: (direction === 'inbound' ? source.identity : destination.identity) !== undefined,
  };
}

function endOf({ workload, identity }: RecordEnd): MetricEnd {
  return {
    ...(identity !== undefined && { principal: identity }),
    ...(workload && {
      workload: workload.workloadName,
      canonicalService: workload.canonicalName,
      canonicalRevision: workload.canonicalRevision,
      namespace: workload.namespace,
      cluster: workload.clusterId,
      ...(workload.locality && {
        region: workload.locality.region,
        zone: workload.locality.zone,
      }),
    }),
  };
}

const identities = new WeakMap<Workload, string>();

/** The identity that a workload's certificate carries; the same text for the same record. */
export function identityOf(workload: Workload): string {
  let identity = identities.get(workload);
  if (identity === undefined) {
    identity = workloadIdentity(workload);
    identities.set(workload, identity);
  }
  return identity;
}
