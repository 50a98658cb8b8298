/** Waits that end with an abort, whatever becomes of what was waited for. */
import type { Socket } from 'node:net';

import { type Cancellation, MeshError } from '@ambit/core';
import { HboneError } from './errors.ts';

export async function raceAbort<T>(work: Promise<T>, signal: Cancellation | undefined): Promise<T> {
  if (signal === undefined) {
    return await work;
  }
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(asError(signal.reason));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) {
    onAbort();
  }
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** A socket that arrives after the abort has nobody to own it. */
export async function disposeLate(dial: Promise<Socket>, signal: AbortSignal): Promise<Socket> {
  const socket = await dial;
  socket.on('error', () => undefined);
  if (signal.aborted) {
    socket.destroy();
  }
  return socket;
}

function asError(reason: unknown): Error {
  return reason instanceof MeshError
    ? reason
    : new HboneError('HBONE_ABORTED', 'the caller went away', {
        side: 'downstream',
        cause: reason,
      });
}
