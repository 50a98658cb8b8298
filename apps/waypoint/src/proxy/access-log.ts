/** One line an access, in the fields of the reference with those of HTTP; a refusal names policy, rule and clause. */
import type { ConnectionRecord, RequestRecord } from '@ambit/http';
import type { MeshService } from '@ambit/model';
import { formatAddress } from '@ambit/proxy';
import { workloadIdentity } from '@ambit/routing';
import { describeError, type LogFields, type Logger } from '@ambit/telemetry';

export class AccessLog {
  readonly #log: Logger;

  /** `log` of scope `access`. */
  constructor(log: Logger) {
    this.#log = log;
  }

  request(record: RequestRecord): void {
    const level = record.error === undefined ? 'info' : 'error';
    if (this.#log.isEnabled(level)) {
      this.#log[level]('request complete', requestFields(record));
    }
  }

  connection(record: ConnectionRecord): void {
    const level = record.error === undefined ? 'info' : 'error';
    if (this.#log.isEnabled(level)) {
      this.#log[level]('connection complete', { ...commonFields(record), ...outcome(record) });
    }
  }

  /** A tunnel that was refused before anything was known of it. */
  refused(fields: {
    readonly source: string;
    readonly authority: string;
    readonly error: string;
  }): void {
    this.#log.warn('connection failed', {
      'src.addr': fields.source,
      'dst.addr': fields.authority,
      direction: 'inbound',
      error: fields.error,
    });
  }
}

function requestFields(record: RequestRecord): LogFields {
  return {
    ...commonFields(record),
    ...outcome(record),
    response_code: record.status,
    ...(record.grpcStatus === undefined ? {} : { grpc_status: record.grpcStatus }),
    method: record.method,
    path: record.path,
    authority: record.authority,
    protocol: record.protocol === '2' ? 'HTTP/2' : `HTTP/${record.protocol}`,
    route_name: record.routeName,
    request_id: record.requestId,
    attempts: record.attempts,
    // Which step of the way did not go on.
    ...(record.error === undefined ? {} : { phase: record.phase }),
  };
}

function outcome(record: RequestRecord | ConnectionRecord): LogFields {
  const by = record.verdict?.by;
  return {
    response_flags: record.flags.join(','),
    upstream_cluster: record.clusterName,
    ...(by === undefined ? {} : { policy: by.policy, rule: by.rule, clause: by.clause }),
    // Nobody allowed: the policies that could have.
    ...(record.verdict?.reason === 'no-match' ? { policy: record.verdict.tried.join(',') } : {}),
    ...(record.verdict === undefined || record.verdict.audited.length === 0
      ? {}
      : { audited: record.verdict.audited.map((ref) => `${ref.policy} rule ${ref.rule}`) }),
    ...(record.verdict === undefined || record.verdict.dryRun.length === 0
      ? {}
      : { dry_run: record.verdict.dryRun.map((ref) => `${ref.policy} would ${ref.wouldBe}`) }),
    ...(record.error === undefined ? {} : { error: describeError(record.error) }),
  };
}

function commonFields(record: RequestRecord | ConnectionRecord): Record<string, unknown> {
  const { caller, destination, endpoint } = record;
  const workload = endpoint?.workload ?? destination.workload;
  const service: MeshService | undefined = destination.service;
  const [address] = workload?.addresses ?? [];
  return {
    'src.addr': formatAddress(caller.ip, caller.port),
    'src.workload': caller.workload?.name,
    'src.namespace': caller.namespace,
    'src.identity': caller.identity,
    'src.cluster': caller.workload?.clusterId,
    'dst.addr':
      endpoint === undefined || address === undefined
        ? destination.authority
        : formatAddress(address, endpoint.targetPort),
    'dst.hbone_addr': destination.authority,
    'dst.service': service?.hostname,
    'dst.workload': workload?.name,
    'dst.namespace': workload?.namespace ?? service?.namespace,
    'dst.identity': workload?.tunnelProtocol === 'HBONE' ? workloadIdentity(workload) : undefined,
    'dst.cluster': workload?.clusterId,
    direction: 'inbound',
    bytes_sent: record.bytesSent,
    bytes_recv: record.bytesReceived,
    duration: `${Math.round(record.durationMs)}ms`,
  };
}
