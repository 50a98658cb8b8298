/** Which unix sockets of a run directory an agent answers at now. A socket file that a crash left is none of them. */
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

const SOCKET_NAME = /^(?:agent|admin)\.sock(?:\.|$)/;

/** Paths, in order of their names. Empty where there is no such folder. */
export async function servedSockets(runDir: string): Promise<readonly string[]> {
  let names: readonly string[];
  try {
    names = readdirSync(runDir);
  } catch {
    // Nobody listens in a folder that is not there.
    return [];
  }
  const paths = names
    .filter((name) => SOCKET_NAME.test(name))
    .sort()
    .map((name) => join(runDir, name));
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
