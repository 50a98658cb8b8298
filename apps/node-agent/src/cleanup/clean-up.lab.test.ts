import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { createNetns, type Netns, runIp, runNft } from '@ambit/netns';
import { applyCapture, hasCapture } from '../capture/pod-network.ts';
import { DEFAULT_PROBE_SOURCES } from '../capture/rules.ts';
import type { Pod } from '../pods/pod.ts';
import { PodStore } from '../pods/store.ts';
import { Workspace } from '../testing.ts';
import { cleanUp } from './clean-up.ts';

let workspace: Workspace;
let runDir: string;
let host: Netns;
let pod: Netns;
let said: string[];
let store: PodStore;

const pathOf = (ns: Netns): string => `/proc/self/fd/${ns.fd}`;
const podOf = (uid: string, netnsPath: string): Pod => ({
  uid,
  name: uid,
  namespace: 'shop',
  serviceAccount: 'default',
  labels: {},
  annotations: {},
  netnsPath,
  ips: [],
});

beforeEach(async () => {
  workspace = new Workspace();
  runDir = join(workspace.path, 'run');
  mkdirSync(runDir);
  [host, pod] = [createNetns(), createNetns()];
  await runIp(pod, ['link', 'set', 'lo', 'up']);
  said = [];
  store = new PodStore(runDir);
  store.open();
  store.saveEnrolments(new Map());
  await applyCapture(pod, {
    dnsCapture: true,
    bypassInbound: false,
    virtualInterfaces: [],
    probeSources: DEFAULT_PROBE_SOURCES,
  });
});
afterEach(() => {
  host[Symbol.dispose]();
  pod[Symbol.dispose]();
  workspace[Symbol.dispose]();
});

async function run(extra: { readonly stopsAgent?: boolean; readonly runDir?: string } = {}) {
  return await cleanUp({
    runDir,
    hostNetns: pathOf(host),
    stopsAgent: false,
    clock: systemClock,
    say: (line) => said.push(line),
    ...extra,
  });
}

describe('cleanUp', () => {
  it('releases what is there and forgets what is gone, or is another namespace by now', async () => {
    store.savePod(podOf('here', pathOf(pod)), pod.id);
    store.savePod(podOf('gone', '/nonexistent/ns'), 'x');
    using another = createNetns();
    store.savePod(podOf('another', pathOf(another)), 'x');
    assert.deepEqual(await run(), { kind: 'clean' });
    assert.equal(await runNft(pod, ['list', 'ruleset']), '');
    assert.deepEqual(said.sort(), [
      'pod shop/another is gone',
      'pod shop/gone is gone',
      'released pod shop/here',
      "removed the node's rule for probes",
    ]);
    assert.ok(!existsSync(runDir));
    assert.deepEqual(await run(), { kind: 'clean' });
  });

  it('keeps the files of what it could not release, and holds back no new pods', async () => {
    store.savePod(podOf('here', pathOf(pod)), pod.id);
    writeFileSync(join(runDir, 'pods', 'torn.json'), '{"uid"');
    const outcome = await run();
    assert.equal(outcome.kind, 'left');
    assert.match(JSON.stringify(outcome), /pods\/torn\.json/);
    assert.ok(!(await hasCapture(pod)));
    assert.deepEqual(
      [readdirSync(runDir), readdirSync(join(runDir, 'pods'))],
      [['pods'], ['torn.json']],
    );
  });

  it('says that the node cannot be reached', async () => {
    const outcome = await cleanUp({
      runDir,
      hostNetns: '/nonexistent/ns',
      stopsAgent: false,
      clock: systemClock,
      say: () => undefined,
    });
    assert.match(JSON.stringify(outcome), /rule for probes.*\/nonexistent\/ns/);
  });

  it('leaves a folder alone that was never an agent’s', async () => {
    const other = join(workspace.path, 'other');
    mkdirSync(other);
    writeFileSync(join(other, 'enrolled.json'), '[]');
    assert.deepEqual(await run({ runDir: other }), { kind: 'clean' });
    assert.deepEqual(readdirSync(other), ['enrolled.json']);
  });

  it('refuses while somebody answers, and ends that one if told so', async () => {
    store.savePod(podOf('here', pathOf(pod)), pod.id);
    const socket = join(runDir, 'admin.sock');
    const agent = createServer((request, response) => {
      assert.equal(request.url, '/quitquitquit');
      response.end(() => agent.close());
    });
    await new Promise<void>((resolve) => agent.listen(socket, resolve));
    assert.deepEqual(await run(), { kind: 'agent-runs', socket });
    assert.ok(await hasCapture(pod));
    assert.deepEqual(await run({ stopsAgent: true }), { kind: 'clean' });
    assert.ok(!(await hasCapture(pod)));
  });
});
