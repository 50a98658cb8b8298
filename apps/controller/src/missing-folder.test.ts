/** The controller as a process while the folder of its configuration is not there. */
import assert from 'node:assert/strict';
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import type { AdminProxies } from '@ambit/model';

import { TestController, TestProxy } from './controller.testing.ts';
import { AGENT, agentPod, pod, SHOP } from './shop-objects.testing.ts';
import { until } from './until.testing.ts';

const POLICY = {
  apiVersion: 'security.istio.io/v1',
  kind: 'AuthorizationPolicy',
  metadata: { name: 'get', namespace: 'shop' },
  spec: {
    selector: { matchLabels: { app: 'reviews' } },
    rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
  },
};
const KEY = 'AuthorizationPolicy/shop/get';

describe('the controller without the folder of its configuration', () => {
  let controller: TestController;
  let agent: TestProxy;

  before(async () => {
    controller = await TestController.create();
    controller.write('base.yaml', SHOP, agentPod(), pod('reviews'), POLICY);
    await controller.start();
    agent = new TestProxy(controller, AGENT);
    agent.capture('Kubernetes//Pod/shop/reviews');
    await agent.start();
  });

  after(async () => {
    await agent.stop();
    await controller.dispose();
  });

  // It was ready at once, and told every proxy that there is nothing.
  it('is not ready and says why, takes nothing from anybody, and is ready when it comes back', async () => {
    const waypoint = join(controller.stateDir, 'managed', 'waypoint.shop.waypoint.yaml');
    await until(
      () => Promise.resolve(existsSync(waypoint)),
      () => 'no waypoint is wanted',
    );
    await controller.stop();
    const elsewhere = `${controller.configDir}-elsewhere`;
    renameSync(controller.configDir, elsewhere);
    const from = agent.received.length;
    const started = controller.start();
    let text = '';
    await until(
      async () => {
        const ready = await controller.get('/ready').catch(() => undefined);
        text = String(ready?.json);
        return ready?.status === 500 && text.includes('is not there');
      },
      () => `/ready says ${text}`,
    );
    assert.ok(text.includes(`folder ${controller.configDir} is not there`), text);
    assert.match(controller.output, /a configuration folder cannot be read/);
    const { json } = await controller.get('/v1/proxies');
    const [problem] = (json as AdminProxies).controller.problems ?? [];
    assert.match(problem ?? '', /is not there; nothing is served until it can be read/);
    assert.equal((await controller.get(`/v1/objects/${KEY}`)).status, 200, 'accepted last');
    renameSync(elsewhere, controller.configDir);
    await started;
    assert.equal((await controller.get('/ready')).status, 200);
    assert.deepEqual((await describeProblems(controller)) ?? [], []);
    await controller.waitForCondition(KEY, 'Enforced=Unknown Unreachable');
    assert.equal(existsSync(waypoint), true);
    const lost = agent.received.slice(from).flatMap(({ removed }) => removed);
    assert.deepEqual(lost, []);
  });

  it('can be stopped while it waits', async () => {
    await controller.stop();
    renameSync(controller.configDir, `${controller.configDir}-gone`);
    const started = controller.start();
    await until(
      () => Promise.resolve(controller.output.includes('cannot be read')),
      () => controller.output,
    );
    await Promise.all([assert.rejects(started, /exit 0/), controller.stop()]);
  });
});

async function describeProblems(controller: TestController): Promise<unknown> {
  const { json } = await controller.get('/v1/proxies');
  return (json as AdminProxies).controller.problems;
}
