/**
 * Loaded before a program by `bench -- profile`, in each of its threads: profiles the thread while a load runs, and writes the
 * profile when the time is over. Not at the end of the process: a thread that is ended writes nothing.
 *
 * AMBIT_PROFILES names a folder. A file `start` in it holds the milliseconds; each thread then makes `PID-THREAD.started`, and
 * `PID-THREAD.cpuprofile` when it is done.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { join } from 'node:path';
import { threadId } from 'node:worker_threads';

const folder = process.env['AMBIT_PROFILES'] ?? '';
const LOOK_MS = 100;
/** Fine enough for functions of a few percent. */
const INTERVAL_MICROSECONDS = 500;

async function profile(milliseconds) {
  const own = join(folder, `${process.pid}-${threadId}`);
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: INTERVAL_MICROSECONDS });
  await session.post('Profiler.start');
  writeFileSync(`${own}.started`, '');
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  const { profile: found } = await session.post('Profiler.stop');
  session.disconnect();
  writeFileSync(`${own}.part`, JSON.stringify(found));
  renameSync(`${own}.part`, `${own}.cpuprofile`);
}

const looking = setInterval(() => {
  const start = join(folder, 'start');
  if (existsSync(start)) {
    clearInterval(looking);
    void profile(Number(readFileSync(start, 'utf8')));
  }
}, LOOK_MS);
looking.unref();
