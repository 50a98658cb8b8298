/**
 * Captured connections of a pod: where each was going decides tunnel, waypoint, plain or refusal.
 *
 * Rule: what the mesh knows and cannot reach is refused, never sent in clear. A refusal is an RST, so
 * that the application does not take it for an empty answer. No byte of the client is sent before the other end has
 * answered, so until then another endpoint of the service, or another instance of its waypoint, may be asked instead, and
 * a peer whose agent is away is asked again until the connect timeout.
 */
import type { Socket } from 'node:net';

import { type Cancellation, Canceller, keepsake } from '@ambit/core';
import {
  ConnectEffort,
  endpointLeft,
  formatForwarded,
  HbonePool,
  isUnreached,
  newTraceparent,
  raceAbort,
} from '@ambit/hbone';
import type { MeshService, Workload } from '@ambit/model';
import { type ByteConn, Deadlines, SocketConn } from '@ambit/proxy';

import { baggageHeader } from './baggage-of.ts';
import { type Carried, type Way as CarriedWay, carry, requireWorkload } from './carry.ts';
import { ConnectionRecord, identityOf } from './connection-record.ts';
import { describeOutbound } from './describe-outbound.ts';
import { WorkerError } from './errors.ts';
import {
  authorityOf,
  chosenOf,
  endpointOf,
  isTunnel,
  OutboundChoice,
  toOf,
  type Way,
} from './outbound-choice.ts';
import { type PodContext, TrackedOutbound } from './pod-context.ts';
import { behind, isUnanswered, silentOne, Unanswered } from './unanswered.ts';

/** Endpoints that one connection asks, before it asks any of them again. */
const TRIES_MAX = 3;
/** Who has not answered after this loses the connection to another endpoint, if there is one. */
const PATIENCE_MS = 5_000;

interface Attempt {
  readonly source: Workload;
  readonly decision: Way;
  /** Endpoints that were asked; each of them again once all were. */
  readonly tried: Set<string>;
  readonly effort: ConnectEffort;
}

interface Failed extends Attempt {
  readonly error: unknown;
}

export class Outbound implements CarriedWay<TrackedOutbound> {
  readonly direction = 'outbound';
  readonly #context: PodContext;
  readonly #unanswered: Unanswered;
  readonly #choice: OutboundChoice;
  readonly #patience: Deadlines;
  readonly pool: HbonePool;

  constructor(context: PodContext) {
    this.#context = context;
    const { clock, certificates, sockets, config } = context;
    this.#unanswered = new Unanswered(clock);
    this.#choice = new OutboundChoice(context.mesh, this.#unanswered);
    this.#patience = new Deadlines(clock, PATIENCE_MS);
    this.pool = new HbonePool({
      clock,
      identity: async (identity) => await certificates.ready(identity),
      revocations: () => certificates.revocations,
      dial: async ({ address, port }, signal) => await sockets.dial({ address, port, signal }),
      limits: { connectTimeoutMs: config.limits.connectTimeoutMs },
    });
  }

  /** Takes over an accepted socket. */
  accept(socket: Socket): void {
    carry(socket, this.#context, this);
  }

  /** After a change of the mesh: no tunnel is used for whoever is not there any more. */
  retireGone(): void {
    const { index } = this.#context.mesh;
    this.pool.retire(({ endpoint, address }) => {
      const addresses = endpoint === undefined ? [] : index.workloadByUid(endpoint)?.addresses;
      // A workload without addresses is known by name; where that leads is not in the mesh.
      return addresses === undefined || (addresses.length > 0 && !addresses.includes(address));
    });
  }

  track({ source, original }: Carried): Promise<TrackedOutbound> {
    return Promise.resolve(new TrackedOutbound(source, original));
  }

  /** Decides, counts and dials; and again, another endpoint if there is one, where nobody is there to answer. */
  async reach(carried: Carried, tracked: TrackedOutbound): Promise<ByteConn> {
    const { record, clock, config } = this.#context;
    const { life } = carried;
    const source = await requireWorkload(this.#context, life);
    using effort = new ConnectEffort(clock, config.limits.connectTimeoutMs);
    const tried = new Set<string>();
    for (;;) {
      const decision = this.#choice.decide(carried, source, tried);
      tracked.sendTo(decision.dial, isTunnel(decision));
      carried.record ??= new ConnectionRecord(
        describeOutbound(carried.source, source, decision),
        record,
      );
      const uid = chosenOf(decision)?.uid;
      if (uid !== undefined) {
        tried.add(uid);
      }
      try {
        return await this.#try(carried, { source, decision, tried, effort });
      } catch (error) {
        this.#goOn(carried, { error, source, decision, tried, effort });
      }
    }
  }

  /** Throws, unless somebody is to be asked: another endpoint, or in the end the same ones again, in turn. */
  #goOn(carried: Carried, { error, source, decision, tried, effort }: Failed): void {
    if (!isUnanswered(error) || carried.life.aborted) {
      throw error;
    }
    const uid = chosenOf(decision)?.uid;
    const asksOther =
      uid !== undefined && tried.size < TRIES_MAX && this.#choice.hasOther(carried, source, tried);
    const asksAgain =
      isTunnel(decision) && isUnreached(error) && this.#choice.leadsToTunnel(carried, source);
    if (!(asksOther || asksAgain) || !effort.goesOn(error)) {
      throw isTunnel(decision) ? effort.failure(error) : error;
    }
    if (!asksOther) {
      tried.clear();
    }
    if (
      uid !== undefined &&
      (asksOther || this.#choice.hasOther(carried, source, new Set([uid])))
    ) {
      tried.add(uid);
      carried.record?.retried(error, !asksOther || effort.failures >= TRIES_MAX);
      carried.record = undefined;
    }
  }

  /** One endpoint. Remembers whether it answered. */
  async #try(carried: Carried, way: Attempt): Promise<ByteConn> {
    const { source, decision, tried, effort } = way;
    const uid = chosenOf(decision)?.uid;
    const attempt = new Canceller();
    const unfollow = attempt.follow(carried.life, effort.signal);
    keepsake('attempt', [attempt, way]);
    if (uid === undefined) {
      return await this.#dial(carried.conn, { source, decision, signal: attempt }).finally(
        unfollow,
      );
    }
    const deadline = this.#patience.add(() => {
      if (tried.size < TRIES_MAX && this.#choice.hasOther(carried, source, tried)) {
        attempt.abort(noAnswer());
      }
    });
    if (this.#unanswered.size > 0) {
      this.#unanswered.tries(uid);
      this.#unanswered.tries(behind(uid, toOf(carried)));
    }
    try {
      const conn = await this.#dial(carried.conn, { source, decision, signal: attempt });
      if (this.#unanswered.size > 0) {
        this.#unanswered.answered(uid);
        this.#unanswered.answered(behind(uid, toOf(carried)));
      }
      return conn;
    } catch (error) {
      if (isUnanswered(error)) {
        this.#unanswered.failed(silentOne(error, uid, toOf(carried)));
      }
      throw error;
    } finally {
      unfollow();
      this.#patience.cancel(deadline);
    }
  }

  /** Where the name of an endpoint leads. Nobody followed the endpoint meanwhile: it may be gone, or tunnel now. */
  async #lookUp(host: string, decision: Way, signal: Cancellation): Promise<string> {
    const { lookup, mesh } = this.#context;
    const address = await raceAbort(lookup(host), signal);
    const chosen = chosenOf(decision);
    const now = chosen === undefined ? undefined : mesh.index.workloadByUid(chosen.uid);
    if (now?.tunnelProtocol !== chosen?.tunnelProtocol) {
      throw endpointLeft();
    }
    return address;
  }

  async #dial(
    conn: ByteConn,
    way: { readonly source: Workload; readonly decision: Way; readonly signal: Cancellation },
  ): Promise<ByteConn> {
    const { sockets, pod } = this.#context;
    const { source, decision, signal } = way;
    const { dial } = decision;
    const address =
      dial.kind === 'dns' ? await this.#lookUp(dial.host, decision, signal) : dial.host;
    if (decision.kind === 'passthrough' || decision.kind === 'plain') {
      // Who has bound another address than the first leaves by its interface; a machine inside the pod has one of its own.
      const ownSource = pod.ips.includes(conn.remoteAddress) ? undefined : conn.remoteAddress;
      const socket = await sockets.dial({
        address,
        port: dial.port,
        signal,
        ...(ownSource !== undefined && { ownSource }),
      });
      return new SocketConn(socket, { side: 'upstream' });
    }
    const endpoint = endpointOf(decision)?.uid;
    const stream = await this.pool.connect(
      {
        sourceIdentity: identityOf(source),
        expectedIdentities: decision.expectedIdentities,
        address,
        port: dial.port,
        sourcePod: pod.uid,
        ...(endpoint !== undefined && { endpoint }),
      },
      {
        authority: authorityOf(decision, address),
        headers: tunnelHeaders(conn, source, decision.service),
        signal,
      },
    );
    return stream.conn;
  }
}

function noAnswer(): WorkerError {
  return new WorkerError('WORKER_CONNECT_TIMEOUT', `no answer within ${PATIENCE_MS} ms`, {
    side: 'upstream',
  });
}

function tunnelHeaders(
  conn: ByteConn,
  source: Workload,
  service: MeshService | undefined,
): Readonly<Record<string, string>> {
  return {
    baggage: baggageHeader(source),
    forwarded: formatForwarded({
      address: conn.remoteAddress,
      port: conn.remotePort,
      ...(service && { host: service.hostname }),
    }),
    traceparent: newTraceparent(),
  };
}
