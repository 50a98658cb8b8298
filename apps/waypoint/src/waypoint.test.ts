/** The waypoint as a whole, with real worker threads, against a control plane in this process. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { duplexFromConn } from '@ambit/proxy/testing';
import { createLogger, LogLevels } from '@ambit/telemetry';
import { parseConfig } from './config.ts';
import { WaypointBed } from './testing.ts';
import type { Waypoint } from './waypoint.ts';
import { buildWaypoint, workerConfig } from './wire.ts';
import { threadSpawner, type WorkerPort } from './workers/worker-port.ts';

interface Running extends AsyncDisposable {
  readonly waypoint: Waypoint;
  /** Ends every worker thread; resolves when they are dead. */
  readonly killWorkers: () => Promise<void>;
}

async function run(bed: WaypointBed, env: Readonly<Record<string, string>> = {}): Promise<Running> {
  const config = parseConfig({ ...bed.env, ...env });
  const levels = new LogLevels('off');
  const spawnThread = threadSpawner({
    entry: new URL('./proxy/worker-main.ts', import.meta.url),
    workerData: workerConfig(config),
  });
  const threads = new Map<WorkerPort, Promise<void>>();
  const waypoint = buildWaypoint(config, {
    clock: systemClock,
    levels,
    log: createLogger({
      scope: 'test',
      levels,
      sink: { write: () => undefined },
      wallNow: () => 0,
    }),
    version: 'test',
    quit: () => undefined,
    spawn: (index, events) => {
      const dead = Promise.withResolvers<void>();
      const port = spawnThread(index, {
        ...events,
        onExit: (reason) => {
          threads.delete(port);
          dead.resolve();
          events.onExit(reason);
        },
      });
      threads.set(port, dead.promise);
      return port;
    },
  });
  try {
    await waypoint.start();
  } catch (error) {
    await waypoint.stop();
    throw error;
  }
  return {
    waypoint,
    killWorkers: async () => {
      const dying = [...threads];
      for (const [port] of dying) {
        port.terminate();
      }
      await Promise.all(dying.map(([, dead]) => dead));
    },
    [Symbol.asyncDispose]: () => waypoint.stop(),
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return address !== null && typeof address === 'object' ? address.port : 0;
}

describe('Waypoint', () => {
  it('keeps connections waiting while a worker is replaced', async () => {
    await using bed = await WaypointBed.start();
    await using running = await run(bed);
    const { port } = running.waypoint;
    assert.equal(await bed.echo(port, 'before'), 'before');
    await running.killWorkers();
    const texts = Array.from({ length: 10 }, (_, index) => `waits ${index}`);
    assert.deepEqual(await Promise.all(texts.map((text) => bed.echo(port, text))), texts);
  });

  it('hands the port over to a successor, and ends what it carries', async () => {
    await using bed = await WaypointBed.start();
    await using old = await run(bed);
    const { port } = old.waypoint;
    const open = duplexFromConn(await bed.open(port));
    await using _successor = await run(bed, {
      AMBIT_HBONE_ADDRESS: `127.0.0.1:${port}`,
      AMBIT_ADMIN_SOCKET: '',
    });
    const stopped = old.waypoint.stop();
    const texts = Array.from({ length: 10 }, (_, index) => `new ${index}`);
    assert.deepEqual(await Promise.all(texts.map((text) => bed.echo(port, text))), texts);
    open.end('old');
    assert.equal((await open.toArray()).join(''), 'old');
    await stopped;
    assert.equal(await bed.echo(port, 'after'), 'after');
  });

  it('still accepts for as long as it was told when it has to stop', async () => {
    await using bed = await WaypointBed.start();
    await using running = await run(bed, { AMBIT_DRAIN_DELAY: '1s' });
    const { port, readiness } = running.waypoint;
    const stopped = running.waypoint.stop();
    assert.deepEqual(readiness.pending, ['draining']);
    const texts = Array.from({ length: 10 }, (_, index) => `late ${index}`);
    assert.deepEqual(await Promise.all(texts.map((text) => bed.echo(port, text))), texts);
    await stopped;
    await assert.rejects(bed.open(port), /ECONNREFUSED/);
  });

  it('refuses connections once it has stopped', async () => {
    await using bed = await WaypointBed.start();
    const running = await run(bed);
    await running.waypoint.stop();
    await assert.rejects(bed.open(running.waypoint.port), /ECONNREFUSED/);
  });

  it('19 CVE-2026-31838: shows nothing but metrics and readiness to others than loopback', async () => {
    await using bed = await WaypointBed.start();
    const [metrics, readiness] = [await freePort(), await freePort()];
    await using _running = await run(bed, {
      AMBIT_METRICS_ADDRESS: `127.0.0.1:${metrics}`,
      AMBIT_READINESS_ADDRESS: `127.0.0.1:${readiness}`,
    });
    const statusOf = async (port: number, path: string, method = 'GET'): Promise<number> =>
      (await fetch(`http://127.0.0.1:${port}${path}`, { method })).status;
    assert.equal(await statusOf(metrics, '/metrics'), 200);
    assert.equal(await statusOf(readiness, '/healthz/ready'), 200);
    const secret = [
      ...['/config_dump', '/v1/objects', '/v1/policies', '/v1/workloads', '/v1/services'],
      ...[
        '/v1/certificates',
        '/certs',
        '/clusters',
        '/logging',
        '/debug/pprof/heap',
        '/quitquitquit',
      ],
      ...['/debug/pprof/profile', '/metrics/../config_dump', '/metrics/%2e%2e/config_dump'],
    ];
    for (const port of [metrics, readiness]) {
      for (const path of secret) {
        assert.equal(await statusOf(port, path), 404, path);
      }
      assert.equal(await statusOf(port, '/logging?level=debug', 'POST'), 404);
    }
  });

  it('shows the heap of the worker that is asked for, where requests are', async () => {
    await using bed = await WaypointBed.start();
    const port = await freePort();
    await using _running = await run(bed, { AMBIT_ADMIN_ADDRESS: `127.0.0.1:${port}` });
    const heapOf = async (thread: string): Promise<string> => {
      const answer = await fetch(`http://127.0.0.1:${port}/debug/pprof/heap?thread=${thread}`);
      assert.equal(answer.status, 200, thread);
      return await answer.text();
    };
    assert.match(await heapOf('worker-0'), /"ProxyWorker"/);
    assert.doesNotMatch(await heapOf('main'), /"ProxyWorker"/);
  });

  it('says why it cannot listen', async () => {
    await using bed = await WaypointBed.start();
    await assert.rejects(run(bed, { AMBIT_HBONE_ADDRESS: '192.0.2.1:15008' }), {
      code: 'WAYPOINT_LISTEN',
    });
  });

  it('leaves nothing open after it has stopped', async () => {
    await using bed = await WaypointBed.start();
    const child = spawn(
      process.execPath,
      [new URL('./leak.testing.ts', import.meta.url).pathname],
      {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: {
          PATH: process.env['PATH'],
          NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
          ...bed.env,
        },
      },
    );
    const ended = once(child, 'close');
    // A failure must not leave it behind.
    await using _child = {
      [Symbol.asyncDispose]: () => Promise.resolve(void child.kill('SIGKILL')),
    };
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<string> => String((await lines.next()).value);
    const port = Number(await next());
    assert.equal(await bed.echo(port, 'x'), 'x');
    child.stdin.write('stop\n');
    const { before, after } = JSON.parse(await next()) as { before: unknown; after: unknown };
    assert.deepEqual(after, before);
    assert.deepEqual(await ended, [0, null]);
  });
});
