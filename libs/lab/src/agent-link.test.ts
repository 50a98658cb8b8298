import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import type { PodEvent } from './agent-client.ts';
import { type Agent, AgentLink } from './agent-link.ts';

/** An agent that is there or not. */
class FakeAgent implements Agent {
  isUp = true;
  enrolled = new Set<string>();
  readonly calls: string[] = [];

  add(pod: PodEvent): Promise<{ captured: boolean }> {
    return this.#answer(`add ${pod.name}`, { captured: true });
  }
  update(pod: PodEvent): Promise<void> {
    return this.#answer(`update ${pod.name}`, undefined);
  }
  remove(uid: string): Promise<void> {
    return this.#answer(`remove ${uid}`, undefined);
  }
  mayBeEnrolled(namespace: string): boolean {
    return this.enrolled.has(namespace);
  }
  #answer<T>(call: string, value: T): Promise<T> {
    if (!this.isUp) {
      return Promise.reject(new Error('ENOENT'));
    }
    this.calls.push(call);
    return Promise.resolve(value);
  }
}

function pod(name: string, namespace = 'shop'): PodEvent {
  return {
    uid: `uid-${name}`,
    name,
    namespace,
    serviceAccount: 'default',
    labels: {},
    annotations: {},
    netnsPath: '/proc/1/fd/9',
    ips: [],
  };
}

/** Lets every settled promise run its course. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) {
    await Promise.resolve();
  }
}

async function isAdmitted(admission: Promise<void>): Promise<boolean> {
  let isDone = false;
  void admission.then(
    () => {
      isDone = true;
    },
    () => undefined,
  );
  await settle();
  return isDone;
}

describe('AgentLink', () => {
  it('admits a pod when the agent has answered', async () => {
    const agent = new FakeAgent();
    const link = new AgentLink(agent, new FakeClock());
    assert.equal(await isAdmitted(link.admit(pod('a'))), true);
    assert.deepEqual(agent.calls, ['add a']);
  });

  it('holds back every pod until an agent has answered once, whatever the list says', async () => {
    const agent = new FakeAgent();
    const clock = new FakeClock();
    agent.isUp = false;
    const link = new AgentLink(agent, clock);
    const admission = link.admit(pod('a', 'other'));
    assert.equal(await isAdmitted(admission), false);
    agent.isUp = true;
    clock.advance(1_000);
    assert.equal(await isAdmitted(admission), true);
  });

  it('while the agent is away: holds back enrolled namespaces, lets others pass', async () => {
    const agent = new FakeAgent();
    const clock = new FakeClock();
    const link = new AgentLink(agent, clock);
    await link.admit(pod('first'));
    agent.isUp = false;
    agent.enrolled.add('shop');
    const held = link.admit(pod('held'));
    assert.equal(await isAdmitted(link.admit(pod('free', 'other'))), true);
    assert.equal(await isAdmitted(held), false);
    agent.isUp = true;
    clock.advance(1_000);
    assert.equal(await isAdmitted(held), true);
    assert.deepEqual(agent.calls.toSorted(), ['add first', 'add free', 'add held']);
  });

  it('announces every pod to a new agent, and none that is gone', async () => {
    const agent = new FakeAgent();
    const link = new AgentLink(agent, new FakeClock());
    await link.admit(pod('a'));
    await link.admit(pod('b'));
    await link.remove('uid-a');
    agent.calls.length = 0;
    link.agentStarted();
    await settle();
    assert.deepEqual(agent.calls, ['add b']);
  });

  it('rejects the admission of a pod that is removed meanwhile', async () => {
    const agent = new FakeAgent();
    agent.isUp = false;
    const link = new AgentLink(agent, new FakeClock());
    const admission = link.admit(pod('a'));
    const rejected = assert.rejects(admission, /removed/);
    await link.remove('uid-a');
    await rejected;
  });

  it('announces again when an update finds no agent', async () => {
    const agent = new FakeAgent();
    const clock = new FakeClock();
    const link = new AgentLink(agent, clock);
    await link.admit(pod('a'));
    agent.isUp = false;
    link.update({ ...pod('a'), labels: { new: 'label' } });
    await settle();
    agent.isUp = true;
    clock.advance(1_000);
    await settle();
    assert.deepEqual(agent.calls, ['add a', 'add a']);
  });
});
