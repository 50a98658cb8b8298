/**
 * One captured connection, either way, from its accept to its record: open → track → reach → copy → record.
 *
 * Rule: whatever ends it before bytes flow closes the client's socket with the reason, and leaves a line in the log. Only the
 * two ways' own parts differ: what is tracked, and how the other end is decided and dialled.
 */
import type { Socket } from 'node:net';

import { type Cancellation, Canceller, keepsake, MeshError } from '@ambit/core';
import type { Workload } from '@ambit/model';
import {
  type ByteConn,
  type CopyObserver,
  type CopyResult,
  copyBoth,
  formatPlace,
  fromIoError,
  limitError,
  type Place,
  SocketConn,
} from '@ambit/proxy';
import type { Logger } from '@ambit/telemetry';

import { type ConnectionRecord, logEarlyFailure } from './connection-record.ts';
import { WorkerError } from './errors.ts';
import type { PodContext, Tracked } from './pod-context.ts';

export interface Carried {
  readonly conn: ByteConn;
  readonly source: Place;
  /** Where the client wanted to go. */
  readonly original: Place;
  /** Aborted when the client goes before the other end is reached, or policy or a drain ends the connection. */
  readonly life: Canceller;
  /** Set by `reach` as soon as routing is decided. */
  record: ConnectionRecord | undefined;
}

export interface Way<T extends Tracked> {
  readonly direction: 'inbound' | 'outbound';
  /** What the tracker holds of it; policy and the admin dump read that. */
  track(carried: Carried): Promise<T>;
  /** The other end. Throws where there is none, or must not be. */
  reach(carried: Carried, tracked: T): Promise<ByteConn>;
}

/** Takes over an accepted socket. */
export function carry<T extends Tracked>(socket: Socket, context: PodContext, way: Way<T>): void {
  const conn = new SocketConn(socket, { side: 'downstream' });
  serve(conn, socket, { context, way }).catch((error: unknown) => {
    conn.destroy(fromIoError(error, 'local'));
    context.log.error('connection lost by a defect', { error });
  });
}

/** Rejects at the signal, or when the mesh does not know the pod within its time. */
export async function requireWorkload(
  { mesh, pod }: PodContext,
  signal: Cancellation,
): Promise<Workload> {
  const local = await mesh.awaitWorkload(pod, signal);
  signal.throwIfAborted();
  if (local === undefined) {
    throw new WorkerError(
      'WORKER_WORKLOAD_UNKNOWN',
      `the mesh does not know pod ${pod.namespace}/${pod.name} yet`,
      { side: 'control-plane' },
    );
  }
  return local;
}

export function clientGone(): WorkerError {
  return new WorkerError('WORKER_CLIENT_GONE', 'the client went away', { side: 'downstream' });
}

async function serve<T extends Tracked>(
  conn: ByteConn,
  socket: Socket,
  { context, way }: { readonly context: PodContext; readonly way: Way<T> },
): Promise<void> {
  const original = context.sockets.destinationOf(socket);
  const life = new Canceller();
  const onGone = (): void => life.abort(clientGone());
  socket.once('close', onGone);
  const carried: Carried = {
    conn,
    source: { address: conn.remoteAddress, port: conn.remotePort },
    original,
    life,
    record: undefined,
  };
  let entry: Disposable | undefined;
  try {
    const tracked = await way.track(carried);
    keepsake(way.direction, [carried, tracked]);
    const tracker = context[way.direction];
    entry = tracker.register(tracked, life);
    if (entry === undefined) {
      throw limitError(`${way.direction} connections of this pod`, tracker.counters.live);
    }
    const other = await way.reach(carried, tracked);
    socket.off('close', onGone);
    copy(conn, other, { life, record: carried.record, entry, context });
  } catch (error) {
    entry?.[Symbol.dispose]();
    fail(carried, error, { context, direction: way.direction });
  }
}

/** Returns at once: while bytes flow, nothing of the way there is kept. */
export function copy(
  a: ByteConn,
  b: ByteConn,
  connection: {
    readonly life: Canceller;
    readonly record: ConnectionRecord | undefined;
    readonly entry: Disposable;
    readonly context: PodContext;
  },
): void {
  const { life, record, entry, context } = connection;
  keepsake('copied', [a, b, life, record, entry]);
  const flow = new Flow(record, entry, context.log);
  copyBoth(a, b, flow, { signal: life, clock: context.clock });
}

/** Bytes on their way: they are counted, and their end is the end of the connection's record and of its place. */
class Flow implements CopyObserver {
  readonly #record: ConnectionRecord | undefined;
  readonly #entry: Disposable;
  readonly #log: Logger;

  constructor(record: ConnectionRecord | undefined, entry: Disposable, log: Logger) {
    this.#record = record;
    this.#entry = entry;
    this.#log = log;
  }

  onBytes(isRequest: boolean, bytes: number): void {
    this.#record?.onBytes(isRequest, bytes);
  }

  onDone({ error }: CopyResult): void {
    try {
      this.#record?.finish(error);
    } catch (defect) {
      // It is told in the close of a socket or a stream, which has done nothing wrong.
      this.#log.error('the end of a connection was not recorded', { error: defect });
    } finally {
      this.#entry[Symbol.dispose]();
    }
  }
}

function fail(
  { conn, record, source, original }: Carried,
  error: unknown,
  {
    context,
    direction,
  }: { readonly context: PodContext; readonly direction: Way<Tracked>['direction'] },
): void {
  const failure = error instanceof MeshError ? error : fromIoError(error, 'upstream');
  conn.destroy(failure);
  if (record === undefined) {
    const { log, pod } = context;
    logEarlyFailure(log, {
      direction,
      pod,
      source: formatPlace(source),
      destination: formatPlace(original),
      error: failure,
    });
  } else {
    record.finish(failure);
  }
}
