/** iperf3: bytes one way over one or more connections; what the receiver got is what counts. */
import type { Netns } from '@ambit/netns';
import { Program } from '../measure/program.ts';

const START_MS = 5_000;
const SPARE_MS = 20_000;

export interface BytesResult {
  readonly bytes: number;
  readonly seconds: number;
}

/** Throws when the text is no successful JSON report of iperf3. */
export function parseIperf(text: string): BytesResult {
  const report = JSON.parse(text) as {
    readonly error?: string;
    readonly end?: {
      readonly sum_received?: { readonly bytes?: number; readonly seconds?: number };
    };
  };
  const { bytes, seconds } = report.end?.sum_received ?? {};
  if (report.error !== undefined || !(Number(bytes) > 0) || !(Number(seconds) > 0)) {
    throw new RangeError(`iperf3 failed: ${report.error ?? 'nothing was received'}`);
  }
  return { bytes: Number(bytes), seconds: Number(seconds) };
}

export interface BytesLoad {
  readonly client: Netns;
  readonly server: Netns;
  /** Where the server listens. */
  readonly serverPort: number;
  /** What the client dials; a proxy or the server itself. */
  readonly address: string;
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
}

/** A server for this one run: a broken run leaves iperf3's server waiting for ever. */
export async function runIperf(load: BytesLoad): Promise<BytesResult> {
  const listen = ['iperf3', '-s', '-1', '-p', String(load.serverPort), '--forceflush'];
  await using server = Program.start(load.server, listen);
  await server.waitForOutput('Server listening', START_MS);
  const dial = ['-c', load.address, '-p', String(load.port), '-P', String(load.connections)];
  const client = Program.start(load.client, ['iperf3', ...dial, '-t', String(load.seconds), '-J']);
  return parseIperf(await client.finish(load.seconds * 1_000 + SPARE_MS));
}
