/**
 * A controller with proxies of the version before: what they do not know they refuse by object, and that is to be seen
 * on the object; everything else goes on, and the refusal ends with their upgrade.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { AdminObject } from '@ambit/model';
import { decodeAuthorization, XdsError } from '@ambit/xds';

import { TestController, TestProxy } from './controller.testing.ts';
import { AGENT, agentPod, type ProxyIdentity, pod, policy, SHOP } from './shop-objects.testing.ts';

const OLDER: ProxyIdentity = { ...AGENT, pod: 'agent-node2', node: 'node2' };
const UPGRADED: ProxyIdentity = { ...OLDER, pod: 'agent-node2-new' };
const NEWER_KEY = 'AuthorizationPolicy/shop/newer';
const CALLER = 'cluster.local/ns/shop/sa/a';
const PLAIN_KEY = 'AuthorizationPolicy/shop/plain';
/** A string in field 99, which no version has, as protobuf writes it. */
const UNKNOWN_FIELD = Uint8Array.from([0x9a, 0x06, 0x01, 0x78]);

/** The codec of an agent, given a condition that came into the language after its version. */
function refuseAsOlder(name: string, value: Uint8Array): string | undefined {
  if (name !== 'shop/newer') return undefined;
  try {
    decodeAuthorization(name, Uint8Array.from([...value, ...UNKNOWN_FIELD]));
    return undefined;
  } catch (error) {
    assert.ok(error instanceof XdsError);
    return error.message;
  }
}

describe('a controller with agents of the version before', () => {
  let controller: TestController;
  let agent: TestProxy;
  let older: TestProxy;
  before(async () => {
    controller = await TestController.create();
    controller.write('mesh.yaml', SHOP, pod('reviews'), agentPod(), agentPod(OLDER));
    controller.write('plain.yaml', policy('plain', CALLER));
    await controller.start();
    agent = new TestProxy(controller, AGENT);
    older = new TestProxy(controller, OLDER);
    older.refuse = refuseAsOlder;
    agent.capture('Kubernetes//Pod/shop/reviews');
    await Promise.all([agent.start(), older.start()]);
  });
  after(async () => {
    await Promise.all([agent, older].map((proxy) => proxy?.stop()));
    await controller?.dispose();
  });

  it('says on the object which proxy does not know it, in its words', async () => {
    controller.write('newer.yaml', policy('newer', CALLER));
    await controller.waitForCondition(NEWER_KEY, 'Enforced=False Refused');
    const { json } = await controller.get(`/v1/objects/${NEWER_KEY}`);
    const said = (json as AdminObject).status?.conditions.find(({ type }) => type === 'Enforced');
    assert.match(said?.message ?? '', /^agent-node2: .*unknown field 99/);
  });

  it('has every other object in force, at the older one too', async () => {
    await controller.waitForCondition(PLAIN_KEY, 'Enforced=True Enforced');
    controller.write('other.yaml', policy('other', CALLER));
    await controller.waitForCondition('AuthorizationPolicy/shop/other', 'Enforced=True Enforced');
    assert.ok(older.held.get('Authorization')?.has('shop/other'));
    assert.equal(older.held.get('Authorization')?.has('shop/newer'), false);
    assert.ok(agent.held.get('Authorization')?.has('shop/newer'));
  });

  it('shows the proxy with its refusal', async () => {
    const { json } = await controller.get('/v1/proxies');
    assert.match(JSON.stringify(json), /unknown field 99/);
  });

  it('says True once the proxy was upgraded', async () => {
    const upgraded = new TestProxy(controller, UPGRADED);
    controller.write('mesh.yaml', SHOP, pod('reviews'), agentPod(), agentPod(UPGRADED));
    await upgraded.start();
    await older.stop();
    await controller.waitForCondition(NEWER_KEY, 'Enforced=True Enforced');
    await upgraded.stop();
  });
});
