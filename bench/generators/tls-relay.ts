/** Two ends of a tunnel in bare Node: what any tunnel on node:net and node:tls costs at least. */
import { join } from 'node:path';
import type { Netns } from '@ambit/netns';
import { Program } from '../measure/program.ts';
import type { TunnelPort } from '../peers/haproxy-tunnel.ts';
import type { TlsFiles } from '../peers/tls-files.ts';

const FILE = join(import.meta.dirname, '..', 'programs', 'tls-relay.ts');
const START_MS = 10_000;

export interface RelayOptions {
  readonly tls: TlsFiles;
  readonly serverAddress: string;
  readonly ports: readonly TunnelPort[];
}

/** Resolves when it listens. */
export async function startRelay(
  netns: Netns,
  role: 'entry' | 'exit',
  { tls, serverAddress, ports }: RelayOptions,
): Promise<Program> {
  const { certificate, key } = tls.leaves[role === 'entry' ? 'client' : 'server'];
  const program = Program.start(netns, [
    ...[process.execPath, FILE, role, certificate, key, tls.ca],
    ...[serverAddress, tls.leaves.server.host],
    ...ports.map(({ entry, wire, exit }) => `${entry}:${wire}:${exit}`),
  ]);
  const listening = ports.map(({ entry, wire }) => (role === 'entry' ? entry : wire));
  await program.waitForPorts(netns, listening, START_MS);
  return program;
}
