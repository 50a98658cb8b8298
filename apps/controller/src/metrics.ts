/** The controller's metrics, declared in one place. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export interface ControllerMetrics {
  readonly pushes: Counter<'type'>;
  readonly resources: Counter<'type' | 'what'>;
  readonly refusals: Counter<'type'>;
  readonly certificatesIssued: Counter;
  readonly certificatesRefused: Counter;
  readonly unusable: Counter;
  readonly listenersFailed: Counter;
  readonly batches: Counter;
  readonly applySeconds: Histogram;
}

export interface MetricSources {
  readonly objects: () => number;
  readonly refusedObjects: () => number;
  readonly streams: () => number;
  readonly unreachable: () => number;
  readonly refusedClaims: () => number;
  readonly waitingReports: () => number;
  readonly behind: () => Readonly<Record<'waiting' | 'lost', number>>;
  readonly resources: () => Readonly<Record<string, number>>;
}

export function createMetrics(registry: Registry, sources: MetricSources): ControllerMetrics {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  gauge('ambit_controller_objects', 'Accepted objects', sources.objects);
  gauge(
    'ambit_controller_refused_objects',
    'Objects whose last version was refused',
    sources.refusedObjects,
  );
  gauge('ambit_controller_proxies', 'Streams of connected proxies', sources.streams);
  gauge(
    'ambit_controller_unreachable_proxies',
    'Running proxies without a stream',
    sources.unreachable,
  );
  gauge(
    'ambit_controller_refused_capture_claims',
    'Pods that an agent claimed to have captured and that are not on its node',
    sources.refusedClaims,
  );
  gauge(
    'ambit_controller_waiting_reports',
    'Pods and namespaces of which a capture or the end of a bypass could not be taken; it is tried again; each is a fault of the controller',
    sources.waitingReports,
  );
  new Gauge({
    name: 'ambit_controller_behind',
    help: 'Names of which a part of the controller could not follow a change: waiting to be told again, or lost until a restart; each is a fault of the controller',
    labelNames: ['what'],
    registers,
    collect() {
      for (const [what, count] of Object.entries(sources.behind())) this.set({ what }, count);
    },
  });
  new Gauge({
    name: 'ambit_controller_resources',
    help: 'Resources by type',
    labelNames: ['type'],
    registers,
    collect() {
      for (const [typeUrl, count] of Object.entries(sources.resources())) {
        this.set({ type: shortType(typeUrl) }, count);
      }
    },
  });
  return {
    pushes: new Counter({
      name: 'ambit_controller_pushes_total',
      help: 'Responses that were sent to proxies',
      labelNames: ['type'],
      registers,
    }),
    resources: new Counter({
      name: 'ambit_controller_pushed_resources_total',
      help: 'Resources that were sent, and names of those that went',
      labelNames: ['type', 'what'],
      registers,
    }),
    refusals: new Counter({
      name: 'ambit_controller_push_refusals_total',
      help: 'Responses that a proxy refused in whole or in part',
      labelNames: ['type'],
      registers,
    }),
    certificatesIssued: new Counter({
      name: 'ambit_controller_certificates_issued_total',
      help: 'Certificates that were signed',
      registers,
    }),
    certificatesRefused: new Counter({
      name: 'ambit_controller_certificates_refused_total',
      help: 'Certificate requests that were refused',
      registers,
    }),
    unusable: new Counter({
      name: 'ambit_controller_unusable_objects_total',
      help: 'Valid objects that were refused because nothing can be derived from them; each is a fault of the controller',
      registers,
    }),
    listenersFailed: new Counter({
      name: 'ambit_controller_failed_listeners_total',
      help: 'Times that a part of the controller could not follow a change; it is told again; each is a fault of the controller',
      registers,
    }),
    batches: new Counter({
      name: 'ambit_controller_batches_total',
      help: 'Changes that the configuration source delivered',
      registers,
    }),
    applySeconds: new Histogram({
      name: 'ambit_controller_apply_seconds',
      help: 'Time to derive and encode one change',
      buckets: [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
      registers,
    }),
  };
}

/** The last part of a type URL; types that proxies make up are one. */
export function shortType(typeUrl: string): string {
  const known = /^type\.googleapis\.com\/(?:istio|ambit)\.[a-z0-9.]+\.([A-Z][A-Za-z]{1,20})$/.exec(
    typeUrl,
  );
  return known?.[1] ?? 'other';
}

/** Of what only the holder of the lease does. */
export interface DutyMetrics {
  readonly taintChanges: Counter<'change'>;
  readonly events: Counter<'result'>;
}

/** Once per registry. */
export function createDutyMetrics(registry: Registry): DutyMetrics {
  const registers = [registry];
  return {
    taintChanges: new Counter({
      name: 'ambit_controller_node_taint_changes_total',
      help: 'Nodes on which the taint for a missing agent was set, and from which it was removed',
      labelNames: ['change'],
      registers,
    }),
    events: new Counter({
      name: 'ambit_controller_events_total',
      help: 'Kubernetes Events by what became of them; dropped ones were more than may be written',
      labelNames: ['result'],
      registers,
    }),
  };
}

export interface ClusterMetricSources {
  /** Accepted versions of refused objects that did not fit. */
  readonly leftOut: () => number;
  /** Callers' tokens by what became of them. */
  readonly tokenReviews: () => Readonly<Record<string, number>>;
}

/** Of a controller in a cluster. Once per registry. */
export function createClusterMetrics(registry: Registry, sources: ClusterMetricSources): void {
  const registers = [registry];
  new Gauge({
    name: 'ambit_controller_last_accepted_left_out',
    help: 'Accepted versions of refused objects that do not fit into their ConfigMap and end with a restart',
    registers,
    collect() {
      this.set(sources.leftOut());
    },
  });
  new Counter({
    name: 'ambit_controller_token_reviews_total',
    help: 'Tokens of callers: asked of the API server, cached, refused, or unavailable because nobody could say',
    labelNames: ['result'],
    registers,
    collect() {
      this.reset();
      for (const [result, count] of Object.entries(sources.tokenReviews())) {
        this.inc({ result }, count);
      }
    },
  });
}

export interface ReplicaMetricSources {
  /** Other replicas by what is known of them. */
  readonly peers: () => Readonly<Record<'heard' | 'silent', number>>;
  /** Other replicas that listen to this one. */
  readonly watchers: () => number;
}

/** Once per registry. */
export function createReplicaMetrics(registry: Registry, sources: ReplicaMetricSources): void {
  const registers = [registry];
  new Gauge({
    name: 'ambit_controller_peers',
    help: 'Other replicas, by whether they can be asked what their proxies have',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, count] of Object.entries(sources.peers())) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'ambit_controller_peer_watchers',
    help: 'Other replicas that are told what the proxies of this one have',
    registers,
    collect() {
      this.set(sources.watchers());
    },
  });
}
