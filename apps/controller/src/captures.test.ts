/** The controller where nobody vouches that pods wait for their agent: what it believes, also after a restart. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { AdminItems, Workload } from '@ambit/model';

import { TestController, TestProxy } from './controller.testing.ts';
import { AGENT, agentPod, pod, SHOP } from './shop-objects.testing.ts';
import { until } from './until.testing.ts';

const UNGATED = { AMBIT_PODS_WAIT_FOR_AGENT: '' };
const POLICY = {
  apiVersion: 'security.istio.io/v1',
  kind: 'AuthorizationPolicy',
  metadata: { name: 'closed', namespace: 'shop' },
  spec: { selector: { matchLabels: { app: 'reviews' } } },
};
const KEY = 'AuthorizationPolicy/shop/closed';
const UID = 'Kubernetes//Pod/shop/reviews';

describe('the controller, where pods do not wait for their agent', () => {
  let controller: TestController;
  let agent: TestProxy;

  const protocol = async (): Promise<string | undefined> => {
    const { json } = await controller.get('/v1/workloads');
    return (json as AdminItems<Workload>).items.find(({ uid }) => uid === UID)?.tunnelProtocol;
  };
  const waitForProtocol = async (wanted: string): Promise<void> => {
    let seen: string | undefined;
    await until(
      async () => {
        seen = await protocol();
        return seen === wanted;
      },
      () => `wanted ${wanted}, is ${seen}`,
    );
  };

  before(async () => {
    controller = await TestController.create();
    controller.write('base.yaml', SHOP, agentPod(), pod('reviews'), POLICY);
    await controller.start(UNGATED);
    agent = new TestProxy(controller, AGENT);
    await agent.start();
  });

  after(async () => {
    await agent.stop();
    await controller.dispose();
  });

  // It was published as captured, `Enforced` was True, and plaintext to it went through.
  it('publishes a pod that nobody announced as plain, and says that policy is not in force there', async () => {
    await controller.waitForCondition(KEY, 'Enforced=False NotCaptured');
    assert.equal(await protocol(), 'NONE');
    const { json } = await controller.get(`/v1/objects/${KEY}`);
    assert.match(JSON.stringify(json), /not in force at Pod\/shop\/reviews/);
  });

  it('publishes it as captured once its agent says so', async () => {
    agent.capture(UID);
    await waitForProtocol('HBONE');
    await controller.waitForCondition(KEY, 'Enforced=True Enforced');
  });

  it('still knows it after a restart, before its agent is back', async () => {
    await agent.stop();
    await controller.stop();
    await controller.start(UNGATED);
    assert.equal(await protocol(), 'HBONE');
    agent = new TestProxy(controller, AGENT);
    await agent.start();
    assert.equal(await protocol(), 'HBONE', 'an agent that comes back says it again in its time');
    agent.capture(UID);
    await controller.waitForCondition(KEY, 'Enforced=True Enforced');
    agent.capture();
    await waitForProtocol('NONE');
    await controller.waitForCondition(KEY, 'Enforced=False NotCaptured');
  });
});
