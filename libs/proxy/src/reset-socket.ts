/**
 * Closing a socket by RST without leaking it.
 *
 * Node's `resetAndDestroy` fails (EINVAL) while the socket's own FIN is on its way out, which `end()` puts it into
 * for one turn of the event loop. The handle then counts as closing and is never closed: the descriptor leaks, `close`
 * never comes, and a worker thread that has such a socket spins for ever when it ends.
 */
import type { Socket } from 'node:net';

/** As `socket.resetAndDestroy()`, after the FIN where one is on its way. */
export function resetSocket(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished && !socket.destroyed) {
    if (socket.writableLength === 0) {
      // Nothing is queued before the FIN, so it is out within a turn. An error destroys the socket instead.
      socket.once('finish', () => socket.resetAndDestroy());
      return;
    }
  }
  socket.resetAndDestroy();
}
