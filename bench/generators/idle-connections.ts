/** Connections that carried one byte each way and then do nothing, to see what they cost to keep. */
import { join } from 'node:path';
import type { Netns } from '@ambit/netns';
import { Program } from '../measure/program.ts';

const START_MS = 5_000;
const OPEN_MS = 60_000;
const PROGRAMS = join(import.meta.dirname, '..', 'programs');

export interface IdleLoad {
  readonly client: Netns;
  readonly server: Netns;
  readonly serverPort: number;
  readonly address: string;
  readonly port: number;
  readonly connections: number;
}

/** Opens all of them, calls `whileOpen`, closes them. */
export async function holdIdleConnections<T>(
  load: IdleLoad,
  whileOpen: () => Promise<T>,
): Promise<T> {
  const node = (file: string, ...args: readonly (string | number)[]): string[] => [
    process.execPath,
    join(PROGRAMS, file),
    ...args.map(String),
  ];
  await using server = Program.start(load.server, node('idle-server.ts', load.serverPort));
  await server.waitForOutput('listening', START_MS);
  const { address, port, connections } = load;
  await using client = Program.start(
    load.client,
    node('idle-client.ts', address, port, connections),
  );
  await client.waitForOutput(`open ${connections}`, OPEN_MS);
  return await whileOpen();
}
