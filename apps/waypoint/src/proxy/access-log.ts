/** One line an access, in the fields of the reference with those of HTTP; a refusal names policy, rule and clause. */
import type { Caller, ConnectionRecord, Destination, RequestRecord } from '@ambit/http';
import type { MeshService } from '@ambit/model';
import type { Verdict } from '@ambit/policy';
import { formatAddress } from '@ambit/proxy';
import { type PhaseName, workloadIdentity } from '@ambit/routing';
import { describeError, JsonFields, type Logger } from '@ambit/telemetry';

/** What says who talks to whom is the same for all requests of a tunnel to an endpoint. */
interface TunnelText {
  readonly destination: Destination;
  readonly ends: WeakMap<object, string>;
}

export class AccessLog {
  readonly #log: Logger;
  readonly #tunnels = new WeakMap<Caller, TunnelText>();

  /** `log` of scope `access`. */
  constructor(log: Logger) {
    this.#log = log;
  }

  request(record: RequestRecord): void {
    const level = record.error === undefined ? 'info' : 'error';
    if (this.#log.isEnabled(level)) {
      const fields = new JsonFields(this.#endsOf(record));
      addOutcome(fields, record);
      addRequest(fields, record);
      this.#log.line(level, 'request complete', fields.text);
    }
  }

  connection(record: ConnectionRecord): void {
    const level = record.error === undefined ? 'info' : 'error';
    if (this.#log.isEnabled(level)) {
      const fields = new JsonFields(this.#endsOf(record));
      addOutcome(fields, record);
      this.#log.line(level, 'connection complete', fields.text);
    }
  }

  /** A tunnel that was refused before anything was known of it, or bytes in it that are no request: those in a phase. */
  refused(fields: {
    readonly source: string;
    readonly authority: string;
    readonly phase?: PhaseName;
    readonly error: string;
  }): void {
    this.#log.warn('connection failed', {
      'src.addr': fields.source,
      'dst.addr': fields.authority,
      direction: 'inbound',
      ...(fields.phase === undefined ? {} : { phase: fields.phase }),
      error: fields.error,
    });
  }

  #endsOf(record: RequestRecord | ConnectionRecord): string {
    const { caller, destination } = record;
    let tunnel = this.#tunnels.get(caller);
    if (tunnel === undefined || tunnel.destination !== destination) {
      tunnel = { destination, ends: new WeakMap() };
      this.#tunnels.set(caller, tunnel);
    }
    const end = record.endpoint ?? destination;
    let text = tunnel.ends.get(end);
    if (text === undefined) {
      text = endsText(record);
      tunnel.ends.set(end, text);
    }
    return text;
  }
}

function addRequest(fields: JsonFields, record: RequestRecord): void {
  fields
    .add('response_code', record.status)
    .add('grpc_status', record.grpcStatus)
    .add('method', record.method)
    .add('path', record.path)
    .add('authority', record.authority)
    .add('protocol', record.protocol === '2' ? 'HTTP/2' : `HTTP/${record.protocol}`)
    .add('route_name', record.routeName)
    .add('request_id', record.requestId)
    .add('attempts', record.attempts)
    // Which step of the way did not go on; none where an upstream answered to the end.
    .add('phase', isAnswered(record) ? undefined : record.phase);
}

function isAnswered({ phase, error }: RequestRecord): boolean {
  return phase === 'respond' && error === undefined;
}

function addOutcome(fields: JsonFields, record: RequestRecord | ConnectionRecord): void {
  const { verdict, error, flags } = record;
  const [flag] = flags;
  fields
    .add('bytes_sent', record.bytesSent)
    .add('bytes_recv', record.bytesReceived)
    .add('duration', `${Math.round(record.durationMs)}ms`)
    .add('response_flags', flags.length === 1 ? flag : flags.join(','))
    .add('upstream_cluster', record.clusterName);
  if (verdict !== undefined) {
    addVerdict(fields, verdict);
  }
  if (error !== undefined) {
    fields.add('error', describeError(error));
  }
}

function addVerdict(fields: JsonFields, { by, reason, tried, audited, dryRun }: Verdict): void {
  if (by !== undefined) {
    fields.add('policy', by.policy).add('rule', by.rule).add('clause', by.clause);
  } else if (reason === 'no-match') {
    // Nobody allowed: the policies that could have.
    fields.add('policy', tried.join(','));
  }
  if (audited.length > 0) {
    const notes = audited.map((ref) => `${ref.policy} rule ${ref.rule}`);
    fields.add('audited', notes);
  }
  if (dryRun.length > 0) {
    const notes = dryRun.map((ref) => `${ref.policy} would ${ref.wouldBe}`);
    fields.add('dry_run', notes);
  }
}

function endsText(record: RequestRecord | ConnectionRecord): string {
  const { caller, destination, endpoint } = record;
  const workload = endpoint?.workload ?? destination.workload;
  const service: MeshService | undefined = destination.service;
  const [address] = workload?.addresses ?? [];
  const isReached = endpoint !== undefined && address !== undefined;
  return new JsonFields()
    .add('src.addr', formatAddress(caller.ip, caller.port))
    .add('src.workload', caller.workload?.name)
    .add('src.namespace', caller.namespace)
    .add('src.identity', caller.identity)
    .add('src.cluster', caller.workload?.clusterId)
    .add(
      'dst.addr',
      isReached ? formatAddress(address, endpoint.targetPort) : destination.authority,
    )
    .add('dst.hbone_addr', destination.authority)
    .add('dst.service', service?.hostname)
    .add('dst.workload', workload?.name)
    .add('dst.namespace', workload?.namespace ?? service?.namespace)
    .add(
      'dst.identity',
      workload?.tunnelProtocol === 'HBONE' ? workloadIdentity(workload) : undefined,
    )
    .add('dst.cluster', workload?.clusterId)
    .add('direction', 'inbound').text;
}
