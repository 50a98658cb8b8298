/**
 * A process that starts a waypoint, prints its port, waits for a line, stops it, and prints what the process held
 * before and after. It must then end by itself, which it cannot while anything is open.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { isDeepStrictEqual } from 'node:util';
import { systemClock } from '@ambit/core';
import { createLogger, LogLevels } from '@ambit/telemetry';
import { parseConfig } from './config.ts';
import { buildWaypoint } from './wire.ts';

const ROUNDS = 100;
const PAUSE_MS = 50;
/** Node's own, which come and go; a timer of ours would keep the process from ending. */
const OF_THE_LOOP = new Set(['loop', 'timer', 'idle', 'check', 'prepare']);

interface Held {
  readonly handles: Readonly<Record<string, number>>;
  readonly sockets: number;
}

function held(): Held {
  const report = process.report.getReport() as unknown as {
    readonly libuv: readonly { readonly type: string; readonly is_active: boolean }[];
  };
  const handles: Record<string, number> = {};
  for (const { type } of report.libuv.filter(
    (handle) => handle.is_active && !OF_THE_LOOP.has(handle.type),
  )) {
    handles[type] = (handles[type] ?? 0) + 1;
  }
  return { handles, sockets: openSockets() };
}

/** Descriptors, also those that no handle of this thread stands for. */
function openSockets(): number {
  let count = 0;
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      count += Number(readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:'));
    } catch {
      // The listing's own descriptor.
    }
  }
  return count;
}

/** What is held once nothing more closes by itself: peers answer a TLS close when they like. */
async function heldAtRest(wanted: Held): Promise<Held> {
  for (let round = 0; round < ROUNDS; round += 1) {
    await systemClock.sleep(PAUSE_MS, new AbortController().signal);
    if (isDeepStrictEqual(held(), wanted)) {
      break;
    }
  }
  return held();
}

const input = createInterface({ input: process.stdin });
const lines = input[Symbol.asyncIterator]();
const levels = new LogLevels('off');
const log = createLogger({
  scope: 'test',
  levels,
  sink: { write: () => undefined },
  wallNow: () => 0,
});
const waypoint = buildWaypoint(parseConfig(process.env), {
  clock: systemClock,
  log,
  levels,
  version: 'test',
  quit: () => undefined,
});
// Standard input is a handle from its first turn on.
await new Promise(setImmediate);
const before = held();
await waypoint.start();
process.stdout.write(`${waypoint.port}\n`);
await lines.next();
await waypoint.stop();
process.stdout.write(`${JSON.stringify({ before, after: await heldAtRest(before) })}\n`);
input.close();
process.stdin.destroy();
