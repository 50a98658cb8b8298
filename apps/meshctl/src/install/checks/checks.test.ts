import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeResults } from '../check-command.ts';
import { effectOn } from '../enroll-command.ts';
import { parseTimeout } from '../options.ts';
import { cleanupState, missing } from '../rollout.ts';
import { CLUSTER_CHECKS, closesHbone, isOtherAgent } from './cluster-checks.ts';
import { MESH_CHECKS } from './mesh-checks.ts';
import { NODE_CHECKS } from './node-checks.ts';
import { VERSION_CHECKS } from './version-checks.ts';

describe('the registry of checks', () => {
  it('has ids that are unique, and a hint without addresses for each', () => {
    const all = [...CLUSTER_CHECKS, ...MESH_CHECKS, ...VERSION_CHECKS, ...NODE_CHECKS];
    assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
    for (const { id, hint } of all) {
      assert.ok(hint.length > 20, id);
      assert.doesNotMatch(hint, /https?:/, id);
    }
  });
});

describe('closesHbone', () => {
  const policy = (ingress: unknown, policyTypes: unknown = ['Ingress']) => ({
    spec: { policyTypes, ingress },
  });
  for (const [title, given, expected] of [
    ['no rule for ingress', policy([]), true],
    ['no rules at all', policy(undefined), true],
    ['another port', policy([{ ports: [{ port: 80 }] }]), true],
    ['a named port', policy([{ ports: [{ port: 'http' }] }]), true],
    ['the port in UDP', policy([{ ports: [{ port: 15_008, protocol: 'UDP' }] }]), true],
    ['a range below', policy([{ ports: [{ port: 1, endPort: 15_007 }] }]), true],
    ['the port', policy([{ ports: [{ port: 15_008, protocol: 'TCP' }] }]), false],
    [
      'the port in a later rule',
      policy([{ ports: [{ port: 80 }] }, { ports: [{ port: 15_008 }] }]),
      false,
    ],
    ['a range around it', policy([{ ports: [{ port: 15_000, endPort: 15_100 }] }]), false],
    ['all ports of somebody', policy([{ from: [{ podSelector: {} }] }]), false],
    ['egress only', policy([], ['Egress']), false],
  ] as const) {
    it(`${expected ? 'finds' : 'passes'} ${title}`, () =>
      assert.equal(closesHbone(given), expected));
  }
});

describe('isOtherAgent', () => {
  const daemonSet = (labels: Readonly<Record<string, string>>, own = {}) => ({
    metadata: { labels: own },
    spec: { template: { metadata: { labels } } },
  });
  for (const [title, given, expected] of [
    ['ztunnel', daemonSet({ app: 'ztunnel' }, { 'app.kubernetes.io/name': 'ztunnel' }), true],
    ['the CNI agent', daemonSet({ 'k8s-app': 'istio-cni-node' }), true],
    ['this mesh', daemonSet({ 'app.kubernetes.io/name': 'ambit-node-agent' }), false],
    ['any other', daemonSet({ app: 'node-exporter' }), false],
    ['one without labels', {}, false],
  ] as const) {
    it(`is ${expected} for ${title}`, () => assert.equal(isOtherAgent(given), expected));
  }
});

describe('effectOn', () => {
  const label = (mode: string) => ({ metadata: { labels: { 'istio.io/dataplane-mode': mode } } });
  for (const [title, pod, said] of [
    ['a plain pod', { metadata: {} }, /^new connections are captured/],
    ['a pod of the host network', { spec: { hostNetwork: true } }, /network of its node/],
    ['a pod that opted out', label('none'), /says none/],
    ['a pod that opted in', label('ambient'), /says ambient/],
    ['a pod with a sidecar', { spec: { containers: [{ name: 'istio-proxy' }] } }, /sidecar/],
    [
      'a pod with a native sidecar',
      { spec: { initContainers: [{ name: 'istio-proxy' }] } },
      /sidecar/,
    ],
    [
      'an injected pod',
      { metadata: { annotations: { 'sidecar.istio.io/status': '{}' } } },
      /sidecar/,
    ],
    [
      'a waypoint',
      {
        metadata: {
          labels: {
            'gateway.istio.io/managed': 'istio.io-mesh-controller',
            'istio.io/dataplane-mode': 'none',
          },
        },
        spec: { containers: [{ name: 'istio-proxy' }] },
      },
      /is a waypoint/,
    ],
    [
      'a pod that only looks like a waypoint',
      { metadata: { labels: { 'gateway.istio.io/managed': 'istio.io-mesh-controller' } } },
      /new connections are captured/,
    ],
    ['a finished job', { status: { phase: 'Succeeded' } }, /ended/],
  ] as const) {
    it(`says what happens to ${title}`, () => assert.match(effectOn(pod, true), said));
  }
});

describe('missing', () => {
  const deployment = (status: object) => ({
    metadata: { generation: 2 },
    spec: { replicas: 2 },
    status,
  });
  const done = { observedGeneration: 2, updatedReplicas: 2, availableReplicas: 2 };
  for (const [title, kind, found, said] of [
    [
      'one that was not looked at',
      'Deployment',
      deployment({ ...done, observedGeneration: 1 }),
      /not looked/,
    ],
    [
      'old pods',
      'Deployment',
      deployment({ ...done, updatedReplicas: 1 }),
      /1 of 2 pods are of this version/,
    ],
    [
      'pods that are not ready',
      'Deployment',
      deployment({ ...done, availableReplicas: 0 }),
      /0 of 2 pods are ready/,
    ],
    [
      'old agents',
      'DaemonSet',
      { status: { desiredNumberScheduled: 3, updatedNumberScheduled: 2, numberAvailable: 3 } },
      /2 of 3/,
    ],
    ['nothing', 'Deployment', deployment(done), undefined],
    ['nothing of agents without nodes', 'DaemonSet', { status: {} }, undefined],
  ] as const) {
    it(`says ${title}`, () => {
      const why = missing({ kind }, found);
      if (said === undefined) assert.equal(why, undefined);
      else assert.match(why ?? '', said);
    });
  }
});

describe('cleanupState', () => {
  const pod = (status: object) => ({
    spec: { nodeName: 'n1' },
    status: { initContainerStatuses: [status] },
  });
  for (const [given, expected] of [
    [{ status: {} }, 'waiting'],
    [pod({ state: { running: {} } }), 'waiting'],
    [pod({ state: { terminated: { exitCode: 0 } } }), 'done'],
    [pod({ state: { terminated: { exitCode: 1 } } }), 'cleanup ended with 1 on n1'],
    [
      pod({ state: { waiting: {} }, lastState: { terminated: { exitCode: 3 } } }),
      'cleanup ended with 3 on n1',
    ],
  ] as const) {
    it(`is ${expected}`, () => assert.equal(cleanupState(given), expected));
  }
});

describe('parseTimeout', () => {
  for (const [given, ms] of [
    ['90', 90_000],
    ['90s', 90_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['100ms', 100],
  ] as const) {
    it(`reads ${given}`, () => assert.equal(parseTimeout(given), ms));
  }
  for (const given of ['', 'soon', '-1s', '1.5m', '5d', '99999999']) {
    it(`refuses "${given}"`, () => assert.throws(() => parseTimeout(given)));
  }
});

describe('describeResults', () => {
  it('shows reason, hint and id of what is not fine, and the whole', () => {
    const check = { id: 'x', category: 'C', description: 'd' };
    const text = describeResults([
      { ...check, result: 'ok', reason: 'v1' },
      { ...check, result: 'warning', reason: 'why', hint: 'do' },
      { ...check, result: 'error', reason: 'broken', hint: 'fix' },
    ]);
    assert.equal(
      text,
      'C\n-\n√ d (v1)\n‼ d\n    why\n    do [x]\n× d\n    broken\n    fix [x]\n\nStatus check results are ×',
    );
  });
});
