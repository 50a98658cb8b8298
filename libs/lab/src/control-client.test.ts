/** What `down` promises: when it returns, nothing is left of the lab. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it, type TestContext } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { LabClient } from './control-client.ts';
import { type LabPaths, labPaths } from './paths.ts';
import { claimFolder, releaseFolder } from './record.ts';

/** A lab that this process holds, and its control socket. */
async function lab(t: TestContext, onDown: RequestListener): Promise<LabPaths> {
  const root = mkdtempSync(join(tmpdir(), 'ambit-down-'));
  const paths = labPaths(root, 'one');
  claimFolder(paths, { name: 'one', folder: '', nodes: [] });
  const server = createServer(onDown);
  await new Promise<void>((resolve) => server.listen(paths.controlSocket, resolve));
  t.after(() => {
    server.close();
    rmSync(root, { recursive: true, force: true });
  });
  return paths;
}

/** Says of each sleep that it began, then lets the time pass at once. */
function clockWith(onSleep: () => void): FakeClock {
  const clock = new FakeClock();
  const sleep = clock.sleep.bind(clock);
  clock.sleep = (ms) => {
    const done = sleep(ms);
    onSleep();
    clock.advance(ms);
    return done;
  };
  return clock;
}

it('waits for the folder, which outlives its record', async (t) => {
  const paths = await lab(t, (_, response) => {
    rmSync(paths.record);
    response.end('{}');
  });
  let sleeps = 0;
  const clock = clockWith(() => {
    sleeps += 1;
    if (sleeps === 3) {
      releaseFolder(paths);
    }
  });
  await new LabClient(paths, 'one').down(clock);
  assert.equal(existsSync(paths.root), false);
  assert.equal(sleeps, 3);
});

it('gives up on a lab that does not end', async (t) => {
  const paths = await lab(t, (_, response) => response.end('{}'));
  const client = new LabClient(paths, 'one');
  await assert.rejects(client.down(clockWith(() => undefined)), { code: 'LAB_TIMEOUT' });
  assert.equal(existsSync(paths.record), true);
});
