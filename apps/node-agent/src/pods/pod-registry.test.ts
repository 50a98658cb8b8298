import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import type { Enrolment } from '@ambit/model';
import { type Netns, NetnsError } from '@ambit/netns';
import { silentLogger } from '@ambit/telemetry';
import { DEFAULT_PROBE_SOURCES } from '../capture/rules.ts';
import type { Pod } from './pod.ts';
import { PodRegistry, type RegistrySteps } from './pod-registry.ts';
import { PodStore } from './store.ts';

const pod = (uid: string, extra: Partial<Pod> = {}): Pod => ({
  uid,
  name: uid,
  namespace: 'shop',
  serviceAccount: 'default',
  labels: {},
  annotations: {},
  netnsPath: `/ns/${uid}`,
  ips: [],
  ...extra,
});
const SHOP: Enrolment = { namespace: 'shop', mode: 'ambient', exceptions: [], dnsCapture: true };
const ENROLLED = new Map([['shop', SHOP]]);

let folder: string;
/** Path to identity: the namespaces that exist. */
let namespaces: Map<string, string>;
let steps: string[];
let clock: FakeClock;
let openHandles: number;
let isSuperseded: boolean;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-registry-'));
  namespaces = new Map([
    ['/ns/a', 'id-a'],
    ['/ns/b', 'id-b'],
  ]);
  steps = [];
  clock = new FakeClock();
  openHandles = 0;
  isSuperseded = false;
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function fakeNetns(path: string): Netns {
  const id = namespaces.get(path);
  if (id === undefined) {
    throw new NetnsError('NETNS_OPEN_FAILED', `no ${path}`);
  }
  openHandles++;
  let isOpen = true;
  return {
    fd: -1,
    id,
    [Symbol.dispose]: () => {
      openHandles -= isOpen ? 1 : 0;
      isOpen = false;
    },
  };
}

function fakeSteps({ uid }: Pod): RegistrySteps {
  const note = (what: string) => (): Promise<void> => {
    steps.push(`${what} ${uid}`);
    return Promise.resolve();
  };
  return {
    listen: note('listen'),
    applyRules: note('apply'),
    releaseRules: note('release'),
    unlisten: note('unlisten'),
    removeRules: note('remove'),
    kill: note('kill'),
    leave: note('leave'),
    carriedConnections: () => 0,
    hasRules: () => Promise.resolve(false),
  };
}

function makeRegistry(): PodRegistry {
  const store = new PodStore(folder, () => isSuperseded);
  store.open();
  return new PodRegistry({
    clock,
    log: silentLogger(),
    store,
    defaults: { dnsCapture: true, probeSources: DEFAULT_PROBE_SOURCES },
    isSuperseded: () => isSuperseded,
    stepsFor: fakeSteps,
    onChange: () => undefined,
    openNetns: ({ netnsPath }) => fakeNetns(netnsPath),
  });
}

function startRegistry(enrolments: ReadonlyMap<string, Enrolment> | undefined): PodRegistry {
  const registry = makeRegistry();
  registry.start(enrolments);
  return registry;
}

/** The registry of an agent that finds what another left; only its own steps count from here on. */
async function followingRegistry(
  enrolments: ReadonlyMap<string, Enrolment> | undefined,
): Promise<PodRegistry> {
  steps = [];
  const registry = startRegistry(enrolments);
  await settle();
  return registry;
}

/** Pod `a` is captured. */
async function registryWithA(): Promise<PodRegistry> {
  const registry = startRegistry(ENROLLED);
  await registry.put(pod('a'), 100);
  return registry;
}

async function settle(): Promise<void> {
  for (let i = 0; i < 100; i++) {
    await Promise.resolve();
  }
}

describe('PodRegistry', () => {
  it('captures what is enrolled and leaves the rest', async () => {
    const registry = startRegistry(ENROLLED);
    assert.equal(await registry.put(pod('a'), 100), true);
    assert.equal(await registry.put(pod('b', { namespace: 'else' }), 100), false);
    assert.deepEqual(steps, ['listen a', 'apply a']);
    assert.deepEqual(
      registry.captured.map(({ uid }) => uid),
      ['a'],
    );
    await registry.stop();
  });

  it('answers nothing while nobody has said what is enrolled', async () => {
    const registry = startRegistry(undefined);
    await assert.rejects(registry.put(pod('a'), 100), {
      code: 'AGENT_ENROLMENT_UNKNOWN',
      retryable: true,
    });
    assert.equal(registry.pendingCount, 1);
    registry.setEnrolments(ENROLLED);
    assert.equal(await registry.put(pod('a'), 100), true);
    await registry.stop();
  });

  it('decides the same after a restart without a controller', async () => {
    const first = await registryWithA();
    await first.stop();
    const second = await followingRegistry(undefined);
    assert.deepEqual(steps, ['listen a', 'apply a']);
    assert.equal(await second.put(pod('b'), 100), true);
    await second.stop();
  });

  it('believes the controller rather than the disk', async () => {
    const first = await registryWithA();
    await first.stop();
    const second = await followingRegistry(new Map());
    assert.deepEqual(steps, []);
    await second.stop();
    const third = await followingRegistry(undefined);
    assert.deepEqual(third.captured, [], 'what the controller said is on the disk');
    await third.stop();
  });

  it('follows labels and enrolment', async () => {
    const registry = await registryWithA();
    assert.equal(
      await registry.put(pod('a', { labels: { 'istio.io/dataplane-mode': 'none' } }), 100),
      false,
    );
    assert.deepEqual(steps, ['listen a', 'apply a', 'release a']);
    await registry.put(pod('a'), 100);
    registry.setEnrolments(new Map());
    await settle();
    assert.deepEqual(steps.slice(3), ['apply a', 'release a']);
    await registry.stop();
  });

  it('forgets pods whose namespace is gone or another one', async () => {
    const first = await registryWithA();
    await first.put(pod('b'), 100);
    await first.stop();
    namespaces.delete('/ns/a');
    namespaces.set('/ns/b', 'id-other');
    const second = await followingRegistry(undefined);
    assert.deepEqual([second.rows, steps, readdirSync(join(folder, 'pods'))], [[], [], []]);
    await second.stop();
  });

  it('notices while it lives that a namespace is gone', async () => {
    const registry = await registryWithA();
    clock.advance(15_000);
    await settle();
    assert.equal(registry.rows.length, 1);
    namespaces.delete('/ns/a');
    clock.advance(15_000);
    await settle();
    assert.deepEqual([registry.rows, steps.at(-1)], [[], 'kill a']);
    assert.equal(openHandles, 0);
    await registry.stop();
  });

  it('takes a new path to the same namespace, and a new namespace of the same pod', async () => {
    const registry = await registryWithA();
    namespaces.set('/ns/a2', 'id-a');
    await registry.put(pod('a', { netnsPath: '/ns/a2' }), 100);
    assert.deepEqual(steps, ['listen a', 'apply a']);
    await registry.put(pod('a', { netnsPath: '/ns/b' }), 100);
    assert.deepEqual(steps.slice(2).sort(), ['apply a', 'kill a', 'listen a']);
    assert.equal(openHandles, 1);
    await registry.stop();
  });

  it('refuses two pods in one namespace, and paths that lead nowhere', async () => {
    const registry = await registryWithA();
    const refused = [
      [pod('c', { netnsPath: '/ns/a' }), 'AGENT_POD_NETNS_TAKEN'],
      [pod('c'), 'NETNS_OPEN_FAILED'],
    ] as const;
    for (const [value, code] of refused) {
      await assert.rejects(registry.put(value, 100), { code });
    }
    assert.equal(openHandles, 1);
    await registry.stop();
  });

  it('removes a pod with everything it had, as often as it is told', async () => {
    const registry = await registryWithA();
    await registry.remove('a');
    await registry.remove('a');
    assert.deepEqual(steps, ['listen a', 'apply a', 'kill a']);
    assert.deepEqual([openHandles, readdirSync(join(folder, 'pods'))], [0, []]);
    await registry.stop();
  });

  it('has a bound', async () => {
    const registry = startRegistry(new Map());
    for (let i = 0; i < 1024; i++) {
      namespaces.set(`/ns/p${i}`, `id-${i}`);
      await registry.put(pod(`p${i}`), 100);
    }
    await assert.rejects(registry.put(pod('a'), 100), { code: 'AGENT_POD_LIMIT' });
    assert.equal(await registry.put(pod('p0'), 100), false, 'known pods go on');
    await registry.stop();
  });

  it('changes nothing once another agent has the node, and goes on where that one ended', async () => {
    const registry = await registryWithA();
    isSuperseded = true;
    registry.setEnrolments(new Map());
    await settle();
    await assert.rejects(registry.put(pod('b'), 100), { code: 'AGENT_SUPERSEDED' });
    assert.deepEqual(steps, ['listen a', 'apply a']);
    // What the other one did.
    const other = new PodStore(folder);
    assert.deepEqual([...(other.loadEnrolments()?.keys() ?? [])], ['shop']);
    other.savePod(pod('b', { labels: { 'istio.io/dataplane-mode': 'ambient' } }), 'id-b');
    isSuperseded = false;
    registry.resume();
    await settle();
    assert.deepEqual(steps.slice(2).sort(), ['apply b', 'listen b', 'release a']);
    assert.deepEqual([...(other.loadEnrolments()?.keys() ?? [])], []);
    await registry.stop();
  });

  it('leaves rules where they are when it stops', async () => {
    const registry = await registryWithA();
    await registry.stop();
    assert.deepEqual(steps, ['listen a', 'apply a', 'leave a']);
  });
});
