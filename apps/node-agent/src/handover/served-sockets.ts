/**
 * Unix sockets that the agents of a node share: each listens under a name of its own, `PATH.ID`, and the one whose turn it
 * is has the path itself. A socket file that a crash left answers nobody.
 */
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';

/** Names of their own, of every agent that lives or did, in order. */
export function ownSockets(path: string): readonly string[] {
  const folder = dirname(path);
  let names: readonly string[];
  try {
    names = readdirSync(folder);
  } catch {
    // Nobody listens in a folder that is not there.
    return [];
  }
  const prefix = `${basename(path)}.`;
  return names
    .filter((name) => name.startsWith(prefix))
    .sort()
    .map((name) => join(folder, name));
}

/** Those of `paths` where somebody answers. */
export async function servedAmong(paths: readonly string[]): Promise<readonly string[]> {
  const served = await Promise.all(paths.map((path) => isServed(path)));
  return paths.filter((_, index) => served[index]);
}

export async function isServed(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
