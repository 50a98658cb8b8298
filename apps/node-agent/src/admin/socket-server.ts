/**
 * Unix sockets that a new agent can take over from a running one.
 *
 * The socket is made under a name of its own and renamed into place, because Node removes the path of a socket that
 * it closes: the old agent must not remove the new one's.
 */
import { renameSync, rmSync, statSync } from 'node:fs';
import type { AdminServer } from '@ambit/telemetry';

/** Disposing removes the path if it is still ours. */
export async function listenOnSocket(server: AdminServer, path: string): Promise<Disposable> {
  const own = `${path}.${process.pid}`;
  await server.listen({ socketPath: own });
  const { ino } = statSync(own);
  renameSync(own, path);
  return {
    [Symbol.dispose]: () => {
      if (statSync(path, { throwIfNoEntry: false })?.ino === ino) {
        rmSync(path, { force: true });
      }
    },
  };
}
