/** What a worker must know before its first message; the main thread passes it as `workerData`. */

export interface WorkerLimits {
  /** Live connections per pod and listener; beyond, they wait. */
  readonly connectionsPerPodMax: number;
  /** Waiting connections per pod and listener; beyond, they are reset. */
  readonly waitingPerPodMax: number;
  /** Tunnel sessions (and handshakes) that one pod accepts. */
  readonly sessionsPerPodMax: number;
  /** How long a connection waits for the record of its pod. */
  readonly workloadWaitMs: number;
  readonly connectTimeoutMs: number;
  /** Metric series; beyond, new label sets are counted together as `overflow`. */
  readonly seriesMax: number;
}

export interface WorkerConfig {
  readonly clusterId: string;
  readonly network: string;
  /** SO_MARK of every socket made in a pod. */
  readonly packetMark: number;
  /** Of `LogLevels`. */
  readonly logSpec: string;
  readonly limits: WorkerLimits;
  /** What the whole process may use. */
  readonly memoryLimitBytes?: number | undefined;
}

export const WORKER_LIMITS: WorkerLimits = {
  connectionsPerPodMax: 20_000,
  waitingPerPodMax: 1_024,
  sessionsPerPodMax: 4_096,
  workloadWaitMs: 5_000,
  connectTimeoutMs: 10_000,
  seriesMax: 20_000,
};

export const WORKER_CONFIG: WorkerConfig = {
  clusterId: 'Kubernetes',
  network: '',
  packetMark: 0x539,
  logSpec: 'info',
  limits: WORKER_LIMITS,
};
