/**
 * A fuzzer's loop: inputs of a seed through a check, with a look at what stays in memory and at what never ends.
 *
 * `AMBIT_FUZZ_INPUTS`, `AMBIT_FUZZ_SECONDS`: so many inputs, and more until so long has passed; of a whole run, of which each
 * target takes its share. `AMBIT_FUZZ_SEED`: another run than last time. `AMBIT_FUZZ_INDEX`: the one input of that number, as a
 * failure names it.
 */
import { Worker } from 'node:worker_threads';
import { heldBytes } from './held-bytes.ts';
import { Random } from './random.ts';

export interface FuzzTarget<Input> {
  readonly name: string;
  /** Of all inputs of a run, and of its time, 0 to 1. */
  readonly share: number;
  readonly make: (random: Random) => Input;
  /** Throws when something does not hold. `random` goes on from where `make` left it. */
  readonly check: (input: Input, random: Random) => void | Promise<void>;
  /** How a failure shows the input. */
  readonly show: (input: Input) => string;
}

export interface FuzzReport {
  readonly seed: number;
  readonly inputs: number;
  readonly seconds: number;
  /** What is in use after a collection, against what was after the first tenth. */
  readonly grownBytes: number;
  readonly slowestMs: number;
}

export interface FuzzSettings {
  readonly inputs: number;
  /** A run that has made its inputs before goes on for so long. */
  readonly seconds: number;
  readonly seed: number;
  readonly index: number | undefined;
}

const INPUTS_DEFAULT = 100_000;
/** One input for so long is one that never ends, even where this process gets a small part of a processor. */
const HANG_MS = 60_000;
/** Of inputs and of time. Baseline of memory: by then code is compiled and tables are made. */
const WARM_SHARE = 0.1;
const SHOWN_CHARS_MAX = 4_000;

export function fuzzSettings(env: Readonly<Record<string, string | undefined>>): FuzzSettings {
  const number = (name: string, otherwise: number): number => {
    const text = env[name] ?? '';
    const value = text === '' ? otherwise : Number(text);
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`${name} is "${text}", not a whole number`);
    }
    return value;
  };
  return {
    inputs: number('AMBIT_FUZZ_INPUTS', INPUTS_DEFAULT),
    seconds: number('AMBIT_FUZZ_SECONDS', 0),
    seed: number('AMBIT_FUZZ_SEED', 1),
    index:
      env['AMBIT_FUZZ_INDEX'] === undefined || env['AMBIT_FUZZ_INDEX'] === ''
        ? undefined
        : number('AMBIT_FUZZ_INDEX', 0),
  };
}

/** More than this in use after a run is a leak: nothing of one input is to stay for the next. */
const GROWTH_BYTES_MAX = 5_000_000;

/** For a test: a whole run, whose report is a diagnostic of the test, which tools/check.ts prints. */
export async function fuzzTest<Input>(
  context: { diagnostic(message: string): void },
  target: FuzzTarget<Input>,
): Promise<void> {
  const report = await fuzz(target);
  const { seed, inputs, seconds, grownBytes, slowestMs } = report;
  context.diagnostic(
    `report: ${target.name}: seed ${seed}, ${inputs} inputs in ${seconds.toFixed(1)} s, ` +
      `slowest ${slowestMs.toFixed(1)} ms, ${(grownBytes / 1e6).toFixed(2)} MB grown`,
  );
  if (grownBytes > GROWTH_BYTES_MAX) {
    throw new Error(`${target.name}: ${grownBytes} bytes more are in use after ${inputs} inputs`);
  }
}

/** Rejects at the first input that fails, and says how to make it again. */
export async function fuzz<Input>(
  target: FuzzTarget<Input>,
  settings: FuzzSettings = fuzzSettings(process.env),
): Promise<FuzzReport> {
  const { seed } = settings;
  const isOne = settings.index !== undefined;
  const first = settings.index ?? 0;
  const end = isOne ? first + 1 : Math.ceil(settings.inputs * target.share);
  const leastMs = isOne ? 0 : settings.seconds * target.share * 1_000;
  const progress = new Int32Array(new SharedArrayBuffer(4));
  const watchdog = watch(progress, `${target.name}, AMBIT_FUZZ_SEED=${seed}`);
  const startedAt = performance.now();
  const warmAt = first + Math.ceil((end - first) * WARM_SHARE);
  let heldWarm: number | undefined;
  let slowestMs = 0;
  let index = first;
  let began = startedAt;
  try {
    for (; index < end || began - startedAt < leastMs; index += 1) {
      if (heldWarm === undefined && index >= warmAt && began - startedAt >= leastMs * WARM_SHARE) {
        heldWarm = await heldBytes();
      }
      Atomics.store(progress, 0, index);
      began = performance.now();
      await one(target, seed, index);
      slowestMs = Math.max(slowestMs, performance.now() - began);
    }
    const seconds = (performance.now() - startedAt) / 1_000;
    const grownBytes = heldWarm === undefined ? 0 : (await heldBytes()) - heldWarm;
    return { seed, inputs: index - first, seconds, grownBytes, slowestMs };
  } finally {
    await watchdog.terminate();
  }
}

async function one<Input>(target: FuzzTarget<Input>, seed: number, index: number): Promise<void> {
  const random = new Random(seed, index);
  const input = target.make(random);
  try {
    const done = target.check(input, random);
    // A turn for each of millions of synchronous checks would be most of the time.
    if (done !== undefined) {
      await done;
    }
  } catch (cause) {
    const shown = target.show(input).slice(0, SHOWN_CHARS_MAX);
    const why = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    throw new Error(
      `${target.name}: AMBIT_FUZZ_SEED=${seed} AMBIT_FUZZ_INDEX=${index} fails with\n${why}\ninput: ${shown}`,
      { cause },
    );
  }
}

/** Names the input that never ends, from a thread that goes on, and ends the process. */
function watch(progress: Int32Array, name: string): Worker {
  const text = `
    const { workerData: { progress, name, hangMs } } = require('node:worker_threads');
    const idle = new Int32Array(new SharedArrayBuffer(4));
    for (let last = -1, since = Date.now(); ; ) {
      Atomics.wait(idle, 0, 0, 1000);
      const now = Atomics.load(progress, 0);
      if (now !== last) { last = now; since = Date.now(); }
      if (Date.now() - since > hangMs) {
        require('node:fs').writeSync(2, name + ' AMBIT_FUZZ_INDEX=' + now + ' does not end\\n');
        process.kill(process.pid, 'SIGKILL');
      }
    }`;
  const worker = new Worker(text, { eval: true, workerData: { progress, name, hangMs: HANG_MS } });
  worker.unref();
  return worker;
}
