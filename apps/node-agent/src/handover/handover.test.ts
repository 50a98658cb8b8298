import assert from 'node:assert/strict';
import { linkSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { AdminServer, Readiness, readinessRoute, silentLogger } from '@ambit/telemetry';
import { isServed } from './served-sockets.ts';
import { SharedSocket } from './shared-socket.ts';
import { awaitSuccessor, DRAINING } from './successor.ts';

const LOG = silentLogger();

let folder: string;
let path: string;
let servers: AdminServer[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-handover-'));
  path = join(folder, 'admin.sock');
  servers = [];
});
afterEach(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  rmSync(folder, { recursive: true });
});

interface TestAgent {
  readonly socket: SharedSocket;
  readonly readiness: Readiness;
  /** As the end of the process. */
  end(): Promise<void>;
}

async function startAgent(): Promise<TestAgent> {
  const readiness = new Readiness();
  const routes = [readinessRoute('/ready', readiness)];
  const server = new AdminServer({ title: 'test', routes, log: LOG });
  servers.push(server);
  const socket = new SharedSocket(path);
  await socket.listen(server);
  return {
    socket,
    readiness,
    end: async () => {
      socket[Symbol.dispose]();
      await server.stop();
    },
  };
}

describe('SharedSocket', () => {
  it('leads to who claimed it last', async () => {
    const old = await startAgent();
    assert.deepEqual([await isServed(path), old.socket.isSuperseded], [false, false]);
    old.socket.claim();
    old.socket.claim();
    assert.deepEqual([await isServed(path), old.socket.isOurs], [true, true]);
    const next = await startAgent();
    assert.equal(await next.socket.isServedByAnother(), true);
    assert.equal(next.socket.isSuperseded, false, 'it has claimed nothing yet');
    next.socket.claim();
    assert.deepEqual([old.socket.isSuperseded, next.socket.isOurs], [true, true]);
  });

  it('is not removed by the agent that lost it', async () => {
    const old = await startAgent();
    old.socket.claim();
    const next = await startAgent();
    next.socket.claim();
    await old.end();
    assert.equal(await isServed(path), true);
    assert.deepEqual(readdirSync(folder).length, 2, 'the path and the own name of the new one');
    await next.end();
    assert.deepEqual(readdirSync(folder), []);
  });

  it('goes back to an agent whose successor died', async () => {
    const old = await startAgent();
    old.socket.claim();
    const next = await startAgent();
    next.socket.claim();
    await servers[1]?.stop();
    assert.equal(old.socket.isSuperseded, true);
    assert.equal(await old.socket.isServedByAnother(), false);
    old.socket.claim();
    assert.deepEqual([await isServed(path), old.socket.isSuperseded], [true, false]);
  });

  it('takes a path away from nobody when it is gone', async () => {
    const old = await startAgent();
    old.socket.claim();
    rmSync(path);
    assert.equal(old.socket.isSuperseded, false);
  });

  it('removes the names that dead agents left, and no other', async () => {
    const dead = createServer();
    const left = `${path}.dead`;
    await new Promise<void>((resolve) => dead.listen(`${path}.x`, resolve));
    // Node removes what it bound, so the leftover is a second link.
    linkSync(`${path}.x`, left);
    await closed(dead);
    const old = await startAgent();
    const next = await startAgent();
    assert.deepEqual(
      readdirSync(folder).sort(),
      [old, next].map(({ socket }) => socket.own.slice(folder.length + 1)).sort(),
    );
  });
});

describe('awaitSuccessor', () => {
  const waitFor = (agent: TestAgent, clock = new FakeClock()) =>
    awaitSuccessor({ clock, adminSocket: agent.socket, deadlineMs: 1_000 });

  it('waits for nobody when nobody follows, or who follows ends itself', async () => {
    const old = await startAgent();
    assert.equal(await waitFor(old), 'none');
    const other = await startAgent();
    other.readiness.hold(DRAINING);
    assert.equal(await waitFor(old), 'none');
    await other.end();
    assert.equal(await waitFor(old), 'none');
  });

  it('goes at once when the successor serves', async () => {
    const old = await startAgent();
    old.readiness.hold('itself does not matter');
    await startAgent();
    assert.equal(await waitFor(old), 'served');
  });

  for (const [what, act, expected] of [
    ['serves', (_: TestAgent, hold: Disposable) => hold[Symbol.dispose](), 'served'],
    ['dies', (next: TestAgent) => next.end(), 'none'],
    ['takes too long', () => undefined, 'late'],
  ] as const) {
    it(`waits until the successor ${what}`, async () => {
      const old = await startAgent();
      const next = await startAgent();
      const hold = next.readiness.hold('pods');
      const clock = new CountingClock();
      let outcome: string | undefined;
      void waitFor(old, clock).then((result) => {
        outcome = result;
      });
      await until(() => clock.sleeps === 1);
      assert.equal(outcome, undefined);
      await act(next, hold);
      for (let round = 2; outcome === undefined; round++) {
        clock.advance(100);
        await until(() => clock.sleeps === round || outcome !== undefined);
      }
      assert.equal(outcome, expected);
    });
  }
});

class CountingClock extends FakeClock {
  sleeps = 0;

  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.sleeps++;
    return super.sleep(ms, signal);
  }
}

/** What is asked goes through real sockets. */
async function until(check: () => boolean): Promise<void> {
  while (!check()) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function closed(server: Server): Promise<void> {
  await new Promise((resolve) => server.close(resolve));
}
