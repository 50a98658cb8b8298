/**
 * A whole rotation: two replicas over one Secret, agents that get certificates and say over xDS what they have. At
 * every moment every agent must believe every other one, and both replicas.
 */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { connect } from 'node:tls';

import { type Clock, systemClock } from '@ambit/core';
import {
  CertificateManager,
  PodTokenIssuer,
  parseCertificates,
  RootWatch,
  verifyChain,
} from '@ambit/identity';
import { silentLogger } from '@ambit/telemetry';
import {
  announceNames,
  buildNode,
  ControlPlaneServer,
  createCertificateClient,
  DeltaClient,
  DeltaServer,
  openDeltaStream,
  TYPE_URL,
} from '@ambit/xds';
import { MapSource } from '@ambit/xds/testing';

import { ServingRenewal } from '../../authority.ts';
import { ProxyTable } from '../../serve/proxy-table.ts';
import { until } from '../../until.testing.ts';
import { RootRotation } from './root-rotation.ts';
import { SecretAuthority } from './secret-authority.ts';
import { bedOfEachTest } from './trust.testing.ts';

const trustDomain = 'cluster.local';
const ACCOUNT = 'istio-system/ambit-node-agent';
const SPEED = 30;
const START_MS = Date.now();

/** What agents wait for, in less time. */
const FAST: Clock = {
  now: () => performance.now() * SPEED,
  wallNow: () => START_MS + (Date.now() - START_MS) * SPEED,
  sleep: async (ms, signal) => await systemClock.sleep(ms / SPEED, signal),
};

const bed = bedOfEachTest();
let tokens: PodTokenIssuer;

beforeEach(async () => {
  tokens = await PodTokenIssuer.create({ clock: systemClock });
});

async function openReplica() {
  const context = bed.context();
  const secret = new SecretAuthority({
    context,
    secretName: 'ambit-ca-secret',
    trustDomain,
    defaultTtlSeconds: 86_400,
    onProblem: (problem) => assert.equal(problem, undefined),
  });
  secret.start();
  await secret.whenOpen();
  const { authority } = secret;
  const trustedNodeAccounts = new Set([ACCOUNT]);
  const table = new ProxyTable({
    objects: new Map(),
    trustedNodeAccounts,
    wallNow: Date.now,
    capturedOf: () => [],
    waypointOf: () => undefined,
  });
  const renewal = new ServingRenewal({
    authority,
    names: ['127.0.0.1'],
    clock: systemClock,
    log: silentLogger(),
  });
  const server = new ControlPlaneServer({
    delta: new DeltaServer({
      clock: systemClock,
      source: new MapSource(),
      onEvent: (event) => table.onEvent(event),
    }),
    verifier: tokens,
    certificates: {
      verifier: tokens,
      authority,
      trustedNodeAccounts,
      index: {
        pod: (_namespace, name) => ({
          uid: `u-${name}`,
          serviceAccount: 'ambit-node-agent',
          node: name,
        }),
        hasPodOnNode: () => true,
      },
    },
    serving: renewal.issue(),
  });
  const port = await server.listen('127.0.0.1:0');
  renewal.start((serving) => server.setServing(serving));
  bed.atEnd(
    () => secret.stop(),
    () => renewal.stop(),
    () => server.stop(),
  );
  const rotation = new RootRotation({
    context,
    secretName: 'ambit-ca-secret',
    trustDomain,
    proxies: () => table.trust(),
  });
  return { authority, table, rotation, port };
}

type Replica = Awaited<ReturnType<typeof openReplica>>;

/** Kubelet brings the roots of the replica to the agent's file some time after they changed. */
async function openAgent(
  name: string,
  { xds, ca }: { readonly xds: Replica; readonly ca: Replica },
) {
  const token = await tokens.mint({
    namespace: 'istio-system',
    serviceAccount: 'ambit-node-agent',
    pod: { name, uid: `u-${name}` },
    node: name,
    ttlSeconds: 3_600,
  });
  const file = { text: xds.authority.rootBundlePem };
  bed.atEnd(
    xds.authority.onChange(() => {
      const { rootBundlePem } = xds.authority;
      void FAST.sleep(20_000).then(() => {
        file.text = rootBundlePem;
      });
    }),
  );
  const address = (port: number) => ({
    address: `https://127.0.0.1:${port}`,
    rootCa: () => Promise.resolve(file.text),
    token: () => Promise.resolve(token),
    clusterId: 'Kubernetes',
  });
  const certificates = createCertificateClient({ ...address(ca.port), impersonate: true });
  const manager = new CertificateManager({
    clock: FAST,
    sign: certificates.sign,
    ttlSeconds: 86_400,
  });
  const client = new DeltaClient({
    clock: systemClock,
    open: openDeltaStream(address(xds.port)),
    node: buildNode({
      type: 'ztunnel',
      ip: '127.0.0.1',
      podName: name,
      namespace: 'istio-system',
      metadata: { NODE_NAME: name, SERVICE_ACCOUNT: 'ambit-node-agent' },
    }),
    subscriptions: [announceNames(TYPE_URL.trust)],
  });
  const watch = new RootWatch({
    clock: FAST,
    manager,
    read: () => Promise.resolve(file.text),
    announce: (names) => client.setNames(TYPE_URL.trust, names),
  });
  client.start();
  watch.start();
  bed.atEnd(
    () => client.stop(),
    () => certificates.close(),
    () => manager.stop(),
    () => watch.stop(),
  );
  for (const account of ['a', 'b']) {
    manager.prefetch(`spiffe://${trustDomain}/ns/${name}/sa/${account}`);
  }
  // An attempt that takes longer than it may, on a busy machine, is made again.
  await until(() => manager.certificates().length === 2, 'the first certificates');
  return { manager, file };
}

type TestAgent = Awaited<ReturnType<typeof openAgent>>;

/** Every certificate of every agent leads to a root of every other one, now. */
function believeEachOther(agents: readonly TestAgent[]): void {
  const all = agents.flatMap(({ manager }) => manager.certificates());
  assert.equal(all.length, agents.length * 2);
  for (const { chainPem } of all) {
    const [leaf, ...intermediates] = parseCertificates(chainPem);
    assert.ok(leaf !== undefined);
    for (const { rootsPem } of all) {
      const roots = parseCertificates(rootsPem);
      verifyChain({ leaf, intermediates, roots, nowMs: Date.now(), skewMs: 60_000 });
    }
  }
}

async function believesServer({ file }: TestAgent, { port }: Replica): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const options = { host: '127.0.0.1', port, ca: file.text, ALPNProtocols: ['h2'] };
  const socket = connect(options, () => resolve());
  socket.on('error', reject);
  await promise.finally(() => socket.destroy());
}

describe('a rotation with replicas and agents', () => {
  it('cuts nobody off from anybody, and ends with the new root alone', async () => {
    const replicas = [await openReplica(), await openReplica()] as const;
    const [one, two] = replicas;
    const agents = [
      await openAgent('node1', { xds: one, ca: two }),
      await openAgent('node2', { xds: one, ca: one }),
    ];
    const first = one.authority.rootBundlePem;
    const settled = async (): Promise<boolean> => {
      believeEachOther(agents);
      for (const agent of agents) {
        for (const replica of replicas) await believesServer(agent, replica);
      }
      const { waiting, proxies } = await one.rotation.describe();
      return proxies === 2 && waiting.length === 0;
    };
    await until(settled, 'what agents have is known');
    const bundles = [first];
    for (const step of ['distribute', 'sign', 'none']) {
      assert.equal((await one.rotation.next()).step, step);
      await assert.rejects(one.rotation.next(), { code: 'CONTROLLER_ROTATION_REFUSED' });
      await until(settled, `agents followed the step ${step}`);
      assert.equal(one.authority.rootBundlePem, two.authority.rootBundlePem);
      bundles.push(one.authority.rootBundlePem);
    }
    assert.equal(new Set(bundles).size, 4);
    assert.equal(parseCertificates(bundles[3] ?? '').length, 1);
    assert.ok(!(bundles[3] ?? first).includes(first));
    for (const { manager } of agents) {
      for (const { rootsPem } of manager.certificates()) assert.equal(rootsPem, bundles[3]);
    }
  });
});
