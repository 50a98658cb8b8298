/**
 * The CNI plugin as a process: environment and stdin in, one JSON document on stdout out.
 *
 * It is bundled into one file and runs on the host, so it imports as little as it can.
 */
import { systemClock } from '@ambit/core';
import { logLine } from './plugin-log.ts';
import { type Outcome, runPlugin } from './run-plugin.ts';

/** Configurations are a few KiB; results of the plugins before it too. */
const STDIN_BYTES_MAX = 1024 * 1024;

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > STDIN_BYTES_MAX) {
      return '';
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function finish({ exitCode, stdout, note, runDir }: Outcome): void {
  if (note !== undefined && runDir !== undefined) {
    logLine(runDir, systemClock.wallNow(), note);
  }
  process.exitCode = exitCode;
  process.stdout.write(stdout === '' ? '' : `${stdout}\n`);
}

void readStdin()
  .then((stdin) => runPlugin({ env: process.env, stdin, clock: systemClock }))
  .then(finish, (error: unknown) => {
    process.stdout.write(
      `${JSON.stringify({ cniVersion: '1.0.0', code: 5, msg: String(error) })}\n`,
    );
    process.exitCode = 1;
  });
