import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { agentRunsOn } from './agent-runs-on.ts';
import type { AgentSetFacts, NodeFacts } from './node-facts.ts';

const LINUX = { 'kubernetes.io/os': 'linux' };
const EVERYWHERE: AgentSetFacts = {
  uid: 'u',
  nodeSelector: LINUX,
  terms: undefined,
  tolerations: [{ operator: 'Exists' }],
};

function node(changes: Partial<NodeFacts> = {}): NodeFacts {
  return { name: 'n1', uid: 'u', createdAtMs: 0, labels: LINUX, taints: [], ...changes };
}

function set(changes: Partial<AgentSetFacts>): AgentSetFacts {
  return { ...EVERYWHERE, ...changes };
}

const GPU = { key: 'gpu', value: 'yes', effect: 'NoSchedule' };
const OURS = { key: 'ambit.io/agent-not-ready', operator: 'Exists' };
const zone = (operator: string, ...values: readonly string[]) => [
  { matchExpressions: [{ key: 'zone', operator, values }] },
];

describe('agentRunsOn', () => {
  const cases: readonly (readonly [string, AgentSetFacts, NodeFacts, boolean])[] = [
    ['a plain node', EVERYWHERE, node(), true],
    [
      'a node of another system',
      EVERYWHERE,
      node({ labels: { 'kubernetes.io/os': 'windows' } }),
      false,
    ],
    ['a node without the label', EVERYWHERE, node({ labels: {} }), false],
    [
      'a virtual kubelet',
      EVERYWHERE,
      node({ labels: { ...LINUX, type: 'virtual-kubelet' } }),
      false,
    ],
    ['a tainted node, where all is tolerated', EVERYWHERE, node({ taints: [GPU] }), true],
    ['a set that does not tolerate our taint', set({ tolerations: [] }), node(), false],
    ['a taint that is not tolerated', set({ tolerations: [OURS] }), node({ taints: [GPU] }), false],
    [
      'a taint that is tolerated by its value',
      set({ tolerations: [OURS, { key: 'gpu', value: 'yes' }] }),
      node({ taints: [GPU] }),
      true,
    ],
    [
      'a taint of another value',
      set({ tolerations: [OURS, { key: 'gpu', operator: 'Equal', value: 'no' }] }),
      node({ taints: [GPU] }),
      false,
    ],
    [
      'a taint of another effect',
      set({ tolerations: [OURS, { key: 'gpu', operator: 'Exists', effect: 'NoExecute' }] }),
      node({ taints: [GPU] }),
      false,
    ],
    [
      'a wish not to be scheduled to',
      set({ tolerations: [OURS] }),
      node({ taints: [{ ...GPU, effect: 'PreferNoSchedule' }] }),
      true,
    ],
    [
      'a node that is only starting',
      set({ tolerations: [OURS] }),
      node({ taints: [{ key: 'node.kubernetes.io/network-unavailable', effect: 'NoSchedule' }] }),
      true,
    ],
    [
      'a zone that is listed',
      set({ terms: zone('In', 'a', 'b') }),
      node({ labels: { ...LINUX, zone: 'b' } }),
      true,
    ],
    [
      'a zone that is not listed',
      set({ terms: zone('In', 'a') }),
      node({ labels: { ...LINUX, zone: 'b' } }),
      false,
    ],
    ['no zone, listed', set({ terms: zone('In', 'a') }), node(), false],
    ['no zone, excluded', set({ terms: zone('NotIn', 'a') }), node(), true],
    [
      'an excluded zone',
      set({ terms: zone('NotIn', 'a') }),
      node({ labels: { ...LINUX, zone: 'a' } }),
      false,
    ],
    ['a label that must be there', set({ terms: zone('Exists') }), node(), false],
    ['a label that must not be there', set({ terms: zone('DoesNotExist') }), node(), true],
    [
      'a number that is greater',
      set({ terms: zone('Gt', '2') }),
      node({ labels: { ...LINUX, zone: '3' } }),
      true,
    ],
    [
      'a number that is not less',
      set({ terms: zone('Lt', '2') }),
      node({ labels: { ...LINUX, zone: '3' } }),
      false,
    ],
    ['an operator that nobody knows', set({ terms: zone('Near', '2') }), node(), false],
    [
      'one of two terms',
      set({ terms: [...zone('In', 'x'), ...zone('DoesNotExist')] }),
      node(),
      true,
    ],
    ['an empty term', set({ terms: [{}] }), node(), false],
    ['no terms', set({ terms: [] }), node(), false],
    [
      'a node by its name',
      set({ terms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] }] }),
      node(),
      true,
    ],
    [
      'a node by another name',
      set({ terms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n2'] }] }] }),
      node(),
      false,
    ],
  ];
  for (const [title, agents, facts, expected] of cases) {
    it(`${expected ? 'takes' : 'leaves out'} ${title}`, () => {
      assert.equal(agentRunsOn(agents, facts), expected);
    });
  }
});
