import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';

import { type NodeFacts, TAINT_KEY } from './node-facts.ts';
import { AGENT_GRACE_MS, NOBODY_READY_MS, TaintPlan } from './taint-plan.ts';

const HOUR_MS = 3_600_000;
const TAINTS = [{ key: TAINT_KEY, effect: 'NoSchedule' }];

function rig() {
  const clock = new FakeClock();
  const plan = new TaintPlan({ clock });
  const node = (name: string, changes: Partial<NodeFacts> = {}): NodeFacts => ({
    name,
    uid: `uid of ${name}`,
    createdAtMs: clock.wallNow() - HOUR_MS,
    labels: {},
    taints: [],
    ...changes,
  });
  const judge = (facts: NodeFacts, isReady: boolean, isWanted = true) =>
    plan.judge(facts, { isReady, isWanted });
  /** A node elsewhere that has its agent. */
  const settled = () => judge(node('elsewhere'), true);
  return { clock, plan, node, judge, settled };
}

describe('TaintPlan', () => {
  it('taints a new node at once and frees it when its agent is ready', () => {
    const { clock, node, judge, settled } = rig();
    settled();
    const fresh = node('a', { createdAtMs: clock.wallNow() - 1_000 });
    assert.deepEqual(judge(fresh, false), { isTainted: true });
    clock.advance(HOUR_MS);
    assert.deepEqual(judge({ ...fresh, taints: TAINTS }, false), { isTainted: true });
    assert.deepEqual(judge({ ...fresh, taints: TAINTS }, true), { isTainted: false });
  });

  it('takes no short absence for a loss', () => {
    const { clock, node, judge, settled } = rig();
    settled();
    judge(node('a'), true);
    assert.deepEqual(judge(node('a'), false), { isTainted: false, againInMs: AGENT_GRACE_MS });
    clock.advance(AGENT_GRACE_MS - 1);
    assert.deepEqual(judge(node('a'), false), { isTainted: false, againInMs: 1 });
    assert.deepEqual(judge(node('a'), true), { isTainted: false });
    clock.advance(1);
    assert.deepEqual(judge(node('a'), false), { isTainted: false, againInMs: AGENT_GRACE_MS });
  });

  it('taints a node that has lost its agent', () => {
    const { clock, node, judge, settled } = rig();
    settled();
    judge(node('a'), true);
    judge(node('a'), false);
    clock.advance(AGENT_GRACE_MS);
    assert.deepEqual(judge(node('a'), false), { isTainted: true });
  });

  it('gives an old node that it knows nothing of the same time', () => {
    const { clock, node, judge, settled } = rig();
    settled();
    assert.equal(judge(node('a'), false).isTainted, false);
    clock.advance(AGENT_GRACE_MS);
    assert.equal(judge(node('a'), false).isTainted, true);
  });

  it('leaves a taint that is there until an agent is ready', () => {
    const { node, judge, settled } = rig();
    settled();
    assert.deepEqual(judge(node('a', { taints: TAINTS }), false), { isTainted: true });
    assert.deepEqual(judge(node('a', { taints: TAINTS }), true), { isTainted: false });
  });

  it('frees a node where no agent is wanted', () => {
    const { plan, node, judge } = rig();
    assert.deepEqual(judge(node('a', { taints: TAINTS }), false, false), { isTainted: false });
    assert.equal(plan.lost, 0);
  });

  it('takes a node that came back under its name for a new one', () => {
    const { clock, node, judge, settled } = rig();
    settled();
    judge(node('a'), true);
    const again = node('a', { uid: 'other', createdAtMs: clock.wallNow() });
    assert.deepEqual(judge(again, false), { isTainted: true });
  });

  it('closes no further nodes while most have lost their agent, but new ones', () => {
    const { clock, plan, node, judge } = rig();
    const names = ['a', 'b', 'c', 'd'];
    for (const name of names) judge(node(name), true);
    for (const name of names.slice(0, 3)) judge(node(name), false);
    clock.advance(AGENT_GRACE_MS);
    assert.deepEqual(judge(node('a'), false), { isTainted: false, againInMs: AGENT_GRACE_MS });
    assert.deepEqual(judge(node('e', { createdAtMs: clock.wallNow() }), false), {
      isTainted: true,
    });
    assert.equal(plan.lost, 3);
    judge(node('c'), true);
    assert.deepEqual(judge(node('a'), false), { isTainted: true });
  });

  it('frees all nodes where no agent at all becomes ready', () => {
    const { clock, node, judge } = rig();
    const fresh = node('a', { createdAtMs: clock.wallNow() });
    const old = node('b', { taints: TAINTS });
    assert.deepEqual(judge(fresh, false), { isTainted: true, againInMs: NOBODY_READY_MS });
    clock.advance(NOBODY_READY_MS - 1);
    assert.deepEqual(judge(old, false), { isTainted: true, againInMs: 1 });
    clock.advance(1);
    for (const one of [fresh, old]) {
      assert.deepEqual(judge(one, false), { isTainted: false, againInMs: AGENT_GRACE_MS });
    }
    judge(node('c'), true);
    assert.deepEqual(judge(fresh, false), { isTainted: true });
    judge(node('c'), false);
    assert.deepEqual(judge(fresh, false), { isTainted: true, againInMs: NOBODY_READY_MS });
    clock.advance(NOBODY_READY_MS);
    assert.equal(judge(fresh, false).isTainted, false);
  });
});
