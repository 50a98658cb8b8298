/** Logs, metrics, readiness and the admin server that every program has. */
export {
  loggingRoute,
  metricsRoute,
  profileRoutes,
  readinessRoute,
  registryText,
  type ThreadHeaps,
} from './admin-routes.ts';
export {
  type AdminRequest,
  type AdminResponse,
  type AdminRoute,
  AdminServer,
  type AdminServerOptions,
  jsonResponse,
  type ListenAddress,
  textResponse,
} from './admin-server.ts';
export { BatchedSink, type LineStream } from './batched-sink.ts';
export {
  type ContainerLimits,
  readContainerLimits,
  workerHeapBytes,
  workersFor,
} from './container-limits.ts';
export { type CrlState, registerCrlMetrics } from './crl-metrics.ts';
export {
  describeHeaps,
  type HeapLimits,
  registerHeapMetrics,
  workerResourceLimits,
} from './heap-limits.ts';
export { IdleCollector, type IdleCollectorOptions } from './idle-collector.ts';
export {
  createLogger,
  describeError,
  JsonFields,
  LOG_LEVELS,
  type LogFields,
  type Logger,
  type LoggerOptions,
  type LogLevel,
  LogLevelError,
  LogLevels,
  type LogSink,
  OnceUntil,
  silentLogger,
  stdoutSink,
} from './log.ts';
export {
  createRegistry,
  type MetricsSnapshot,
  mergedText,
  registerProcessMetrics,
  snapshotOf,
} from './metrics.ts';
export {
  failProgram,
  type Program,
  type ProgramOptions,
  type ProgramSurroundings,
  packageVersion,
  runProgram,
} from './program.ts';
export {
  answerAndExit,
  answerArguments,
  type ProgramAnswer,
  type ProgramFacts,
} from './program-answer.ts';
export { Readiness } from './readiness.ts';
