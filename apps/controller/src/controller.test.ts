/** The controller as a process: what it pushes, what it says of objects, what a restart changes. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { createCertificateRequest } from '@ambit/identity';
import type { MeshSummary } from '@ambit/model';
import { createCertificateClient } from '@ambit/xds';

import { TestController, TestProxy } from './controller.testing.ts';
import { AGENT, agentPod, type ProxyIdentity, pod, policy, SHOP } from './shop-objects.testing.ts';
import { until } from './until.testing.ts';

const SERVICE = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'reviews', namespace: 'shop' },
  spec: {
    selector: { app: 'reviews' },
    clusterIPs: ['10.1.0.1'],
    ports: [{ name: 'http', port: 80, targetPort: 8080 }],
  },
};
const POD_UID = 'Kubernetes//Pod/shop/reviews';
const WAYPOINT: ProxyIdentity = {
  type: 'waypoint',
  namespace: 'shop',
  serviceAccount: 'waypoint',
  pod: 'waypoint-0',
  node: 'node1',
};

function changes(proxy: TestProxy, from: number): readonly string[] {
  return proxy.received
    .slice(from)
    .flatMap(({ type, changed, removed }) => [
      ...changed.map((name) => `${type} ${name}`),
      ...removed.map((name) => `${type} -${name}`),
    ]);
}

describe('the controller', () => {
  let controller: TestController;
  let agent: TestProxy;

  before(async () => {
    controller = await TestController.create();
    controller.write(
      'base.yaml',
      SHOP,
      SERVICE,
      agentPod(),
      pod('reviews'),
      pod('waypoint-0', {
        account: 'waypoint',
        ip: '10.0.0.9',
        labels: {
          'gateway.networking.k8s.io/gateway-name': 'waypoint',
          'gateway.istio.io/managed': 'x',
          'istio.io/dataplane-mode': 'none',
        },
      }),
    );
    controller.write('policy.yaml', policy('callers', 'cluster.local/ns/shop/sa/web'));
    await controller.start();
    agent = new TestProxy(controller, AGENT);
    await agent.start();
  });
  after(async () => {
    await agent.stop();
    await controller.dispose();
  });

  it('sends a new agent everything, policy before workloads', () => {
    const types = agent.received.map(({ type }) => type);
    assert.deepEqual(types, ['Enrolment', 'Authorization', 'Address']);
    assert.deepEqual([...(agent.held.get('Authorization')?.keys() ?? [])], ['shop/callers']);
    assert.ok(agent.held.get('Address')?.has(POD_UID));
    assert.ok(agent.held.get('Address')?.has('shop/reviews.shop.svc.cluster.local'));
  });

  // As a static pod does, or one that tolerates the taint: it is published as captured, and nobody decides there.
  it('says that a policy is not in force at a pod that no agent names', async () => {
    const key = 'AuthorizationPolicy/shop/callers';
    await controller.waitForCondition(key, 'Enforced=False NotCaptured');
    const { json } = await controller.get(`/v1/objects/${key}`);
    assert.match(JSON.stringify(json), /not in force at Pod\/shop\/reviews/);
    agent.capture(POD_UID);
    await controller.waitForCondition(key, 'Enforced=True Enforced');
    agent.capture();
    await controller.waitForCondition(key, 'Enforced=False NotCaptured');
    agent.capture(POD_UID);
  });

  it('says that a policy is in force once every proxy has acknowledged it', async () => {
    await controller.waitForCondition('AuthorizationPolicy/shop/callers', 'Enforced=True Enforced');
  });

  it('sends exactly what a changed file changed', async () => {
    const from = agent.received.length;
    controller.write('policy.yaml', policy('callers', 'cluster.local/ns/shop/sa/other'));
    await agent.waitFor(() => agent.received.length > from, 'the change');
    await controller.waitForCondition('AuthorizationPolicy/shop/callers', 'Enforced=True Enforced');
    assert.deepEqual(changes(agent, from), ['Authorization shop/callers']);
  });

  it('refuses an invalid object alone, with the path, and keeps the last good one in force', async () => {
    const from = agent.received.length;
    const broken = policy('callers', 'x') as { spec: { action?: string } };
    broken.spec.action = 'PERHAPS';
    controller.write('policy.yaml', broken, policy('second', 'cluster.local/ns/shop/sa/second'));
    await controller.waitForCondition('AuthorizationPolicy/shop/callers', 'Accepted=False Invalid');
    await controller.waitForCondition('AuthorizationPolicy/shop/second', 'Enforced=True Enforced');
    assert.deepEqual(changes(agent, from), ['Authorization shop/second', `Address ${POD_UID}`]);
    const { json } = await controller.get('/v1/objects/AuthorizationPolicy/shop/callers');
    assert.match(JSON.stringify(json), /"path":"spec\.action"/);
    controller.write('policy.yaml', policy('callers', 'cluster.local/ns/shop/sa/other'));
    await controller.waitForCondition('AuthorizationPolicy/shop/callers', 'Accepted=True Accepted');
    await until(
      async () =>
        (await controller.get('/v1/objects/AuthorizationPolicy/shop/second')).status === 404,
      () => 'the second stayed',
    );
    await agent.waitFor(
      () => changes(agent, from).includes('Authorization -shop/second'),
      'its end',
    );
  });

  it('keeps the objects of a file that cannot be read', async () => {
    const from = agent.received.length;
    controller.writeText('policy.yaml', 'kind: [unclosed');
    await controller.waitForCondition('File/policy.yaml', 'Accepted=False Invalid');
    await controller.waitForCondition('AuthorizationPolicy/shop/callers', 'Accepted=False Invalid');
    assert.deepEqual(changes(agent, from), []);
    controller.write('policy.yaml', policy('callers', 'cluster.local/ns/shop/sa/other'));
    await controller.waitForCondition('AuthorizationPolicy/shop/callers', 'Accepted=True Accepted');
    await until(
      async () => (await controller.get('/v1/objects/File/policy.yaml')).status === 404,
      () => 'the file is still spoken of',
    );
  });

  it("says False with the proxy's own words where one refuses", async () => {
    agent.refuse = (name) => (name === 'shop/odd' ? 'too odd for me' : undefined);
    controller.write('odd.yaml', policy('odd', 'cluster.local/ns/shop/sa/odd'));
    await controller.waitForCondition('AuthorizationPolicy/shop/odd', 'Enforced=False Refused');
    const { json } = await controller.get('/v1/objects/AuthorizationPolicy/shop/odd');
    assert.match(JSON.stringify(json), /too odd for me/);
    await controller.waitForCondition('AuthorizationPolicy/shop/callers', 'Enforced=True Enforced');
    agent.refuse = () => undefined;
    controller.remove('odd.yaml');
    await agent.waitFor(() => changes(agent, 0).includes('Authorization -shop/odd'), 'the removal');
  });

  it('says Unknown while a proxy that should be there cannot be reached', async () => {
    controller.write('node2.yaml', agentPod({ ...AGENT, pod: 'agent-node2', node: 'node2' }));
    await controller.waitForCondition(
      'AuthorizationPolicy/shop/callers',
      'Enforced=Unknown Unreachable',
    );
    const { json } = await controller.get('/v1/objects/AuthorizationPolicy/shop/callers');
    assert.match(JSON.stringify(json), /1 of 2 proxies cannot be reached: node-agent node2/);
    controller.remove('node2.yaml');
    await controller.waitForCondition('AuthorizationPolicy/shop/callers', 'Enforced=True Enforced');
  });

  it('publishes a pod that becomes enrolled once its agent has captured it, for its own node only', async () => {
    const outside = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'late' } };
    const uid = 'Kubernetes//Pod/late/one';
    controller.write(
      'late.yaml',
      outside,
      pod('one', { namespace: 'late', ip: '10.0.5.1' }),
      pod('far', { namespace: 'late', ip: '10.0.5.2', node: 'node9' }),
    );
    await agent.waitFor(() => agent.held.get('Address')?.has(uid) === true, 'the pod');
    const from = agent.received.length;
    const inside = {
      ...outside,
      metadata: { name: 'late', labels: { 'istio.io/dataplane-mode': 'ambient' } },
    };
    controller.write(
      'late.yaml',
      inside,
      pod('one', { namespace: 'late', ip: '10.0.5.1' }),
      pod('far', { namespace: 'late', ip: '10.0.5.2', node: 'node9' }),
    );
    await agent.waitFor(() => changes(agent, from).includes('Enrolment late'), 'the enrolment');
    assert.deepEqual(changes(agent, from), ['Enrolment late'], 'not yet a workload of the mesh');
    agent.capture(POD_UID, uid, 'Kubernetes//Pod/late/far');
    await agent.waitFor(() => changes(agent, from).includes(`Address ${uid}`), 'the workload');
    await systemClock.sleep(100);
    assert.ok(
      !changes(agent, from).includes('Address Kubernetes//Pod/late/far'),
      'a pod of another node',
    );
    controller.remove('late.yaml');
  });

  it('makes a waypoint for what needs one, and sends it the objects of its scope only', async () => {
    const l7 = policy('get', 'cluster.local/ns/shop/sa/web', {
      to: [{ operation: { methods: ['GET'] } }],
    });
    const other = policy('elsewhere', 'x') as { metadata: { namespace: string } };
    other.metadata.namespace = 'elsewhere';
    controller.write('l7.yaml', l7, other);
    await controller.waitForCondition(
      'AuthorizationPolicy/shop/get',
      'Enforced=Unknown Unreachable',
    );
    const file = join(controller.stateDir, 'managed', 'waypoint.shop.waypoint.yaml');
    await until(
      () => Promise.resolve(existsSync(file)),
      () => 'no waypoint is wanted',
    );
    assert.match(readFileSync(file, 'utf8'), /kind: Deployment/);
    const waypoint = new TestProxy(controller, WAYPOINT, 'shop/waypoint');
    await waypoint.start();
    assert.deepEqual([...(waypoint.held.get('Object')?.keys() ?? [])].sort(), [
      'AuthorizationPolicy/shop/callers',
      'AuthorizationPolicy/shop/get',
    ]);
    await controller.waitForCondition('AuthorizationPolicy/shop/get', 'Enforced=True Enforced');
    const thief = new TestProxy(
      controller,
      { ...WAYPOINT, serviceAccount: 'reviews', pod: 'reviews' },
      'shop/waypoint',
    );
    await thief.start();
    assert.equal(thief.held.get('Object')?.size, 0, 'another account does not get the scope');
    await thief.stop();
    await waypoint.stop();
    controller.remove('l7.yaml');
    await agent.waitFor(
      () => changes(agent, 0).includes('Authorization -shop/ambit_only_waypoint_shop_waypoint'),
      'the guard to go',
    );
  });

  it('signs for identities of pods on the node of the agent that asks, and for no other', async () => {
    const client = createCertificateClient({ ...controller.address(AGENT), impersonate: true });
    const sign = async (identity: string): Promise<number> => {
      const { csrPem } = await createCertificateRequest(identity);
      const signal = AbortSignal.timeout(5_000);
      return (await client.sign({ csrPem, identity, ttlSeconds: 60, signal })).length;
    };
    assert.ok((await sign('spiffe://cluster.local/ns/shop/sa/reviews')) >= 2);
    await assert.rejects(sign('spiffe://cluster.local/ns/shop/sa/nobody'));
    await assert.rejects(sign('spiffe://other.domain/ns/shop/sa/reviews'));
    client.close();
    const { json } = await controller.get('/v1/certificates');
    assert.match(JSON.stringify(json), /spiffe:\/\/cluster\.local\/ns\/shop\/sa\/reviews/);
  });

  it('answers its admin pages', async () => {
    for (const path of [
      '/',
      '/ready',
      '/metrics',
      '/v1/objects',
      '/v1/objects?kind=Pod',
      '/v1/summary',
      '/v1/snapshot',
      '/v1/proxies',
      '/v1/workloads',
      '/v1/services',
      '/v1/certificates',
      '/config_dump',
    ]) {
      assert.equal((await controller.get(path)).status, 200, path);
    }
    assert.equal((await controller.get('/v1/objects/Pod/shop/nobody')).status, 404);
    const { json } = await controller.get('/v1/proxies');
    assert.match(JSON.stringify(json), /"kind":"node-agent","name":"node1"/);
    const summary = (await controller.get('/v1/summary')).json as MeshSummary;
    assert.deepEqual(summary.kinds, { AuthorizationPolicy: 1, Namespace: 1, Pod: 3, Service: 1 });
    const shop = { namespace: 'shop', mode: 'ambient', pods: 1, captured: 1, missing: [] };
    const leftOut = { 'its label istio.io/dataplane-mode is none': ['waypoint-0'] };
    assert.deepEqual(summary.namespaces, [{ ...shop, leftOut }]);
  });

  it('resends nothing after a restart, and keeps generations and conditions', async () => {
    await controller.waitForCondition('AuthorizationPolicy/shop/callers', 'Enforced=True Enforced');
    const statusFile = join(controller.stateDir, 'status.json');
    await until(
      () => Promise.resolve(readFileSync(statusFile, 'utf8').includes('"Enforced"')),
      () => 'no status.json',
    );
    const before = await controller.get('/v1/objects/AuthorizationPolicy/shop/callers');
    const from = agent.received.length;
    await controller.stop();
    await controller.start();
    await controller.waitForCondition('AuthorizationPolicy/shop/callers', 'Enforced=True Enforced');
    const now = await controller.get('/v1/objects/AuthorizationPolicy/shop/callers');
    assert.deepEqual(
      (now.json as { object: unknown }).object,
      (before.json as { object: unknown }).object,
    );
    assert.deepEqual(changes(agent, from), [], 'nothing changed while it was gone');
    const { json: metrics } = await controller.get('/metrics');
    assert.match(String(metrics), /pushed_resources_total\{type="Address",what="changed"\} 0/);
    assert.doesNotMatch(String(metrics), /pushed_resources_total\{.*\} [1-9]/);
  });
});
