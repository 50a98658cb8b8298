/** Replicas that tell each other, over gRPC, with agents that have a stream to one of them. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import type { StreamView } from '@ambit/xds';

import { TestProxy } from '../controller.testing.ts';
import { AGENT, agentPod, pod } from '../shop-objects.testing.ts';
import { until } from '../until.testing.ts';
import { TestMesh, type TestReplica } from './replicas.testing.ts';

const NAMESPACE = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'shop', labels: { 'istio.io/dataplane-mode': 'ambient' } },
};
const KEY = 'AuthorizationPolicy/shop/p';
const policy = (generation: number): unknown => ({
  apiVersion: 'security.istio.io/v1',
  kind: 'AuthorizationPolicy',
  metadata: { name: 'p', namespace: 'shop', uid: 'uid-p', generation },
  spec: {
    selector: { matchLabels: { app: 'far' } },
    rules: [{ to: [{ operation: { ports: [String(8_000 + generation)] } }] }],
  },
});
/** What the policy is for, with an agent of its own, so that nobody here has to capture it. */
const FAR = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'WorkloadEntry',
  metadata: { name: 'far', namespace: 'shop' },
  spec: { address: '10.9.9.9', labels: { app: 'far', 'networking.istio.io/tunnel': 'http' } },
};
const AGENT2 = { ...AGENT, pod: 'agent-node2', node: 'node2' };
const UID = 'Kubernetes//Pod/shop/reviews';
const OBJECTS = [
  NAMESPACE,
  agentPod(AGENT),
  agentPod(AGENT2),
  pod('reviews', { node: 'node2' }),
  FAR,
  policy(1),
];

const protocol = (replica: TestReplica): string => {
  const address = replica.store.model.outputs.addresses.get(UID);
  return address?.kind === 'workload' ? address.workload.tunnelProtocol : '';
};
const waitForProtocol = async (replica: TestReplica, wanted: string): Promise<void> => {
  await until(
    () => Promise.resolve(protocol(replica) === wanted),
    () => `${replica.name}: wanted ${wanted}, is ${protocol(replica)}`,
  );
};

describe('Replicas', () => {
  let mesh: TestMesh;
  let a: TestReplica;
  let b: TestReplica;
  let proxies: TestProxy[];

  beforeEach(async () => {
    mesh = await TestMesh.create();
    a = await mesh.add('controller-a', OBJECTS);
    b = await mesh.add('controller-b', OBJECTS);
    proxies = [];
  });
  afterEach(async () => {
    for (const proxy of proxies) await proxy.stop();
    await mesh.dispose();
  });

  async function connect(replica: TestReplica, identity = AGENT): Promise<TestProxy> {
    const proxy = new TestProxy(replica, identity);
    proxies.push(proxy);
    await proxy.start();
    return proxy;
  }

  async function waitFor(replica: TestReplica, wanted: string): Promise<void> {
    await until(
      () => Promise.resolve(replica.enforced(KEY).startsWith(wanted)),
      () => `${replica.name}: wanted ${wanted}, is ${replica.enforced(KEY)}`,
    );
  }

  it('sums what the proxies of all have acknowledged', async () => {
    await connect(a, AGENT);
    await waitFor(a, 'Unknown Unreachable: 1 of 2 proxies cannot be reached: node-agent node2');
    await connect(b, AGENT2);
    for (const replica of [a, b]) {
      await waitFor(replica, 'True Enforced: acknowledged by 2 proxies');
      assert.deepEqual(replica.proxies.unreachable(), []);
      const listed = replica.proxies.list();
      assert.deepEqual(
        listed.map(({ name }) => name),
        ['node1', 'node2'],
      );
      assert.ok(
        listed.every(({ connectedSinceMs }) => connectedSinceMs !== undefined),
        replica.name,
      );
    }
    assert.deepEqual(
      a.proxies.list().map(({ replica }) => replica),
      [undefined, 'controller-b'],
    );
  });

  it('hears of a refusal elsewhere, with its words', async () => {
    await connect(a, AGENT);
    const agent = await connect(b, AGENT2);
    agent.refuse = (name) => (name === 'shop/p' ? 'bad rule' : undefined);
    for (const replica of [a, b]) replica.apply(policy(2));
    for (const replica of [a, b]) {
      await waitFor(replica, 'False Refused: agent-node2: bad rule');
    }
  });

  it('waits for a replica that has not seen the newest version', async () => {
    await connect(a, AGENT);
    await connect(b, AGENT2);
    await waitFor(a, 'True Enforced');
    a.apply(policy(2));
    await waitFor(a, 'Unknown Waiting: 1 of 2 proxies have not acknowledged: agent-node2');
    await waitFor(b, 'Unknown Waiting');
    b.apply(policy(2));
    await waitFor(a, 'True Enforced: acknowledged by 2 proxies');
    await waitFor(b, 'True Enforced: acknowledged by 2 proxies');
  });

  it('waits for one that still speaks of an object that had the same name', async () => {
    await connect(a, AGENT);
    await connect(b, AGENT2);
    await waitFor(a, 'True Enforced');
    const again = policy(1) as { metadata: { uid: string } };
    const replaced = { ...again, metadata: { ...again.metadata, uid: 'uid-q' } };
    a.apply(replaced);
    assert.match(a.enforced(KEY), /^Unknown Waiting/);
    b.apply(replaced);
    await waitFor(a, 'True Enforced');
  });

  it('knows nothing while another replica is lost, and all once its agents are elsewhere', async () => {
    await connect(a, AGENT);
    const moved = await connect(b, AGENT2);
    await waitFor(a, 'True Enforced');
    await b.stop();
    await waitFor(a, 'Unknown Unreachable: 1 of 2 proxies cannot be reached: node-agent node2');
    assert.equal(a.proxies.list().length, 2, 'shown once');
    await moved.stop();
    await connect(a, AGENT2);
    await waitFor(a, 'Unknown Unreachable: what proxies of other replicas have cannot be asked');
    mesh.list(a.peer, { ...b.peer, isReady: false });
    await waitFor(a, 'True Enforced: acknowledged by 2 proxies');
    mesh.list(a.peer);
    await waitFor(a, 'True Enforced: acknowledged by 2 proxies');
  });

  it('takes the newest stream of an agent that moved, while the old one still stands', async () => {
    await connect(b, AGENT2);
    await connect(a, AGENT);
    await waitFor(a, 'True Enforced');
    await connect(a, AGENT2);
    await until(
      () => Promise.resolve(b.proxies.streams.length === 0),
      () => `at the old one: ${b.proxies.streams.length}`,
    );
    for (const replica of [a, b]) {
      await waitFor(replica, 'True Enforced: acknowledged by 2 proxies');
      assert.equal(replica.proxies.list().length, 2, replica.name);
    }
    // The agent hears of the next version from its new replica alone.
    a.apply(policy(2));
    await waitFor(a, 'True Enforced: acknowledged by 2 proxies');
  });

  it('publishes as captured what an agent of another replica has captured', async () => {
    const agent = await connect(b, AGENT2);
    assert.equal(protocol(a), 'NONE');
    agent.capture(UID);
    await waitForProtocol(a, 'HBONE');
    assert.deepEqual(a.proxies.list().find(({ name }) => name === 'node2')?.captured, [UID]);
    await b.stop();
    await until(
      () => Promise.resolve(!a.book.replicas().some(({ isHeard }) => isHeard)),
      () => 'still heard',
    );
    assert.equal(protocol(a), 'HBONE', 'what was said holds');
    const c = await mesh.add('controller-c', OBJECTS);
    await waitForProtocol(c, 'HBONE');
    await agent.stop();
    const back = await connect(c, AGENT2);
    back.capture(UID);
    const said = (): number | undefined =>
      a.book.records.get(c.name)?.state?.captures.get('node2')?.uids.length;
    await until(
      () => Promise.resolve(said() === 1),
      () => `the new replica says ${said()}`,
    );
    back.capture();
    await waitForProtocol(c, 'NONE');
    await waitForProtocol(a, 'NONE');
  });

  it('learns of pods that were there before they were in the mesh and wait for their agent', async () => {
    mesh.capture = 'promised';
    mesh.list();
    const before = { ...NAMESPACE, metadata: { name: 'shop' } };
    const old = await mesh.add('controller-c', [...OBJECTS, before]);
    old.apply(NAMESPACE);
    assert.equal(protocol(old), 'NONE');
    const fresh = await mesh.add('controller-d', OBJECTS);
    await waitForProtocol(fresh, 'NONE');
    const agent = await connect(old, AGENT2);
    agent.capture(UID);
    await waitForProtocol(old, 'HBONE');
    await waitForProtocol(fresh, 'HBONE');
  });

  it('is one that cannot be asked if its account is not the controller’s', async () => {
    const foreign = await mesh.add('controller-x', OBJECTS, 'default');
    await connect(a, AGENT);
    await connect(b, AGENT2);
    await waitFor(a, 'True Enforced');
    await waitFor(foreign, 'Unknown Unreachable: 2 of 2');
    assert.deepEqual(
      foreign.proxies.list().map(({ connectedSinceMs }) => connectedSinceMs),
      [undefined, undefined],
    );
    await until(
      () => Promise.resolve(/PERMISSION_DENIED/.test(JSON.stringify(foreign.replicas.describe()))),
      () => JSON.stringify(foreign.replicas.describe()),
    );
  });

  it('is settled once those that serve are heard', async () => {
    const { signal } = new AbortController();
    assert.equal(await a.replicas.settled({ timeoutMs: 10_000, signal }), true);
    mesh.list(a.peer, b.peer, { name: 'starting', address: '127.0.0.1:1', isReady: false });
    assert.equal(await a.replicas.settled({ timeoutMs: 1_000, signal }), true);
    mesh.list(a.peer, b.peer, { name: 'dead', address: '127.0.0.1:1', isReady: true });
    assert.equal(await a.replicas.settled({ timeoutMs: 20, signal }), false);
    await assert.rejects(a.replicas.settled({ timeoutMs: 1_000, signal: AbortSignal.abort() }));
  });

  it('is sent nothing again by another replica that has the same', async () => {
    const agent = await connect(b, AGENT2);
    await agent.waitFor(() => agent.held.get('Authorization')?.has('shop/p') === true, 'a policy');
    const held = agent.received.length;
    assert.ok(held > 0);
    const c = await mesh.add('controller-c', [...OBJECTS].reverse());
    agent.moveTo(c);
    await b.stop();
    const view = (): StreamView | undefined => c.proxies.streams[0];
    await until(
      () =>
        Promise.resolve(
          [...(view()?.types.values() ?? [])].filter(({ isSettled }) => isSettled).length >= 3,
        ),
      () => `types: ${[...(view()?.types.keys() ?? [])].join()}`,
    );
    const again = agent.received.slice(held);
    assert.deepEqual(
      again.flatMap(({ changed, removed }) => [...changed, ...removed]),
      [],
    );
  });
});
