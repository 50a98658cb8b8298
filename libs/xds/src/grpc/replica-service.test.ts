import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { CertificateAuthority, PodTokenIssuer } from '@ambit/identity';

import { XdsError } from '../errors.ts';
import type { ReplicaUpdate } from '../replica/replica-update.ts';
import { DeltaServer } from '../server/delta-server.ts';
import { MapSource } from '../testing.ts';
import type { ControlPlaneAddress } from './channel.ts';
import { ControlPlaneServer } from './control-plane-server.ts';
import { openReplicaStream } from './replica-client.ts';
import type { ReplicaCall } from './replica-service.ts';

const clock = systemClock;
const folder = await mkdtemp(join(tmpdir(), 'ambit-replicas-'));
const tokens = await PodTokenIssuer.create({ clock });
const authority = await CertificateAuthority.openOwn({
  folder,
  trustDomain: 'cluster.local',
  clock,
  defaultTtlSeconds: 3600,
});
const CONTROLLER = {
  namespace: 'istio-system',
  serviceAccount: 'ambit-controller',
  pod: { name: 'controller-2', uid: 'u2' },
  node: 'node1',
  ttlSeconds: 600,
};
const NAMES = { watcher: 'controller-2', replica: 'controller-1' };
const calls: ReplicaCall[] = [];
let closed = 0;
let resumed = 0;
const server = new ControlPlaneServer({
  delta: new DeltaServer({ clock, source: new MapSource() }),
  verifier: tokens,
  certificates: {
    verifier: tokens,
    authority,
    index: { pod: () => undefined, hasPodOnNode: () => false },
    trustedNodeAccounts: new Set(),
  },
  serving: authority.issueServing({ names: ['controller.test'], ttlSeconds: 3600 }),
  replicas: {
    account: 'istio-system/ambit-controller',
    watch: (call) => {
      if (call.replica === 'nobody') throw new XdsError('XDS_FORBIDDEN', 'not I');
      calls.push(call);
      return {
        resume: () => {
          resumed += 1;
        },
        close: () => {
          closed += 1;
        },
      };
    },
  },
});
let port = 0;

before(async () => {
  port = await server.listen('127.0.0.1:0');
});
after(async () => {
  server.stop();
  await rm(folder, { recursive: true });
});

async function target(claims: Partial<typeof CONTROLLER> = {}): Promise<ControlPlaneAddress> {
  const token = await tokens.mint({ ...CONTROLLER, ...claims });
  return {
    address: `127.0.0.1:${port}`,
    serverName: 'controller.test',
    rootCa: () => Promise.resolve(authority.rootBundlePem),
    token: () => Promise.resolve(token),
    clusterId: 'Kubernetes',
  };
}

function update(replica: string): ReplicaUpdate {
  const none = { proxies: [], captures: [], goneNodes: [], answers: [], goneKeys: [], awaited: [] };
  return { replica, isComplete: true, goneProxies: ['x'], ...none };
}

async function readOne(
  address: ControlPlaneAddress,
  names: typeof NAMES = NAMES,
): Promise<ReplicaUpdate | undefined> {
  const { signal } = new AbortController();
  const stream = await openReplicaStream(address, names, signal);
  try {
    for await (const one of stream.updates) return one;
    return undefined;
  } finally {
    stream.close();
  }
}

async function until(check: () => boolean): Promise<void> {
  while (!check()) await clock.sleep(5);
}

describe('replicas over gRPC', () => {
  it('tells another replica of the controller, and knows when it went', async () => {
    const reading = readOne(await target());
    await until(() => calls.length === 1 && resumed === 1);
    assert.equal(calls[0]?.watcher, 'controller-2', 'by its token');
    calls[0]?.send(update('controller-1'));
    assert.deepEqual(await reading, update('controller-1'));
    await until(() => closed === 1);
    assert.equal(calls[0]?.send(update('controller-1')), false);
  });

  it('refuses every other account, also one of the same name elsewhere', async () => {
    const before = calls.length;
    for (const claims of [
      { serviceAccount: 'ambit-node-agent' },
      { serviceAccount: 'ambit-controllerx' },
      { namespace: 'shop' },
    ]) {
      await assert.rejects(
        readOne(await target(claims)),
        /PERMISSION_DENIED: only replicas of the controller may ask/,
        JSON.stringify(claims),
      );
    }
    assert.equal(calls.length, before);
  });

  it('refuses who shows no good token', async () => {
    const stranger = await PodTokenIssuer.create({ clock });
    for (const token of [undefined, 'garbage', await stranger.mint(CONTROLLER)]) {
      const address = { ...(await target()), token: () => Promise.resolve(token) };
      await assert.rejects(readOne(address), /UNAUTHENTICATED: authentication failure/);
    }
  });

  it('lets the replica itself refuse, and end a call', async () => {
    const names = { ...NAMES, replica: 'nobody' };
    await assert.rejects(readOne(await target(), names), /PERMISSION_DENIED: not I/);
    const reading = readOne(await target());
    const count = calls.length;
    await until(() => calls.length > count);
    calls.at(-1)?.fail(new XdsError('XDS_LIMIT', 'too much'));
    await assert.rejects(reading, /replica controller-1: .*RESOURCE_EXHAUSTED: too much/);
  });

  it('believes no replica that is not the one it asked', async () => {
    const count = calls.length;
    const reading = readOne(await target());
    await until(() => calls.length > count);
    calls.at(-1)?.send(update('controller-9'));
    await assert.rejects(reading, /replica controller-1: controller-9 is there/);
  });

  it('believes no server with another name or root', async () => {
    const good = await target();
    await assert.rejects(readOne({ ...good, serverName: 'other.test' }), { code: 'XDS_TRANSPORT' });
    const foreign = await mkdtemp(join(tmpdir(), 'ambit-replicas-'));
    const other = await CertificateAuthority.openOwn({
      folder: foreign,
      trustDomain: 'cluster.local',
      clock,
      defaultTtlSeconds: 3600,
    });
    await assert.rejects(readOne({ ...good, rootCa: () => Promise.resolve(other.rootBundlePem) }), {
      code: 'XDS_TRANSPORT',
    });
    await rm(foreign, { recursive: true });
  });
});
