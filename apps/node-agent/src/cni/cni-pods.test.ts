import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import type { Enrolment, PodFacts } from '@ambit/model';
import fc from 'fast-check';
import { AgentError } from '../errors.ts';
import { decideEnrolment } from '../pods/enrolment.ts';
import { type Pod, parsePod } from '../pods/pod.ts';
import { type CapturedPods, CniPods } from './cni-pods.ts';
import { type AddRequest, parseAdd, parseAttachment, parseCollect } from './cni-request.ts';

const SHOP: Enrolment = { namespace: 'shop', mode: 'ambient', exceptions: [], dnsCapture: true };
const MIXED: Enrolment = {
  namespace: 'mixed',
  mode: 'none',
  exceptions: [{ pod: 'a', mode: 'ambient' }],
  dnsCapture: true,
};
const ADD: AddRequest = {
  containerId: 'c1',
  ifname: 'eth0',
  network: 'pods',
  namespace: 'shop',
  name: 'cart-0',
  uid: 'u-1',
  netns: '/run/netns/c1',
  ips: ['10.0.0.5'],
};
const FACTS: PodFacts = {
  namespace: 'shop',
  name: 'cart-0',
  uid: 'u-1',
  node: 'node1',
  serviceAccount: 'cart',
  annotations: { 'ambient.istio.io/dns-capture': 'false' },
};

class FakeRegistry implements CapturedPods {
  enrolments: ReadonlyMap<string, Enrolment> | undefined;
  readonly pods = new Map<string, Pod>();

  constructor(enrolments: readonly Enrolment[] | undefined = [SHOP, MIXED]) {
    this.enrolments = enrolments && new Map(enrolments.map((one) => [one.namespace, one]));
  }

  get rows() {
    return [...this.pods.values()].map((pod) => {
      const isWanted = decideEnrolment(pod, this.enrolments).mode === 'ambient';
      return { pod, isWanted, state: isWanted ? 'captured' : 'idle' };
    });
  }

  async put(pod: Pod): Promise<boolean> {
    // As it comes back from disk.
    this.pods.set(pod.uid, parsePod(JSON.parse(JSON.stringify(pod))));
    const { mode, reason } = decideEnrolment(pod, this.enrolments);
    if (mode === 'unknown') {
      throw new AgentError('AGENT_ENROLMENT_UNKNOWN', reason);
    }
    return mode === 'ambient';
  }

  async remove(uid: string): Promise<void> {
    this.pods.delete(uid);
  }
}

function build(registry = new FakeRegistry(), isConnected = true) {
  const clock = new FakeClock();
  const log = { scoped: () => log, info() {}, warn() {}, error() {}, debug() {} };
  const pods = new CniPods({
    clock,
    log: log as never,
    pods: registry,
    isConnected: () => isConnected,
    exemptNamespaces: new Set(['kube-system', 'istio-system']),
  });
  return { clock, registry, pods };
}

/** Lets what waits for nothing go on. */
async function turn(): Promise<void> {
  for (let count = 0; count < 20; count++) {
    await Promise.resolve();
  }
}

describe('CniPods.add', () => {
  it('captures a pod by what the controller says of it', async () => {
    const { registry, pods } = build();
    pods.applyFacts([FACTS], []);
    assert.deepEqual(await pods.add(ADD), { captured: true, reason: 'captured' });
    assert.deepEqual(registry.pods.get('u-1'), {
      uid: 'u-1',
      name: 'cart-0',
      namespace: 'shop',
      serviceAccount: 'cart',
      labels: {},
      annotations: FACTS.annotations,
      netnsPath: '/run/netns/c1',
      ips: ['10.0.0.5'],
      sandbox: { containerId: 'c1', ifname: 'eth0', network: 'pods' },
    });
  });

  it('lets a pod decide for itself, both ways', async () => {
    const { pods } = build();
    pods.applyFacts(
      [
        { ...FACTS, mode: 'none' },
        { ...FACTS, namespace: 'bank', mode: 'ambient' },
      ],
      [],
    );
    assert.equal((await pods.add(ADD)).captured, false);
    assert.equal((await pods.add({ ...ADD, namespace: 'bank', uid: 'u-1' })).captured, true);
  });

  it('waits for the controller’s word of this very pod', async () => {
    const { registry, pods, clock } = build();
    pods.applyFacts([{ ...FACTS, uid: 'u-0', serviceAccount: 'before' }], []);
    const answer = pods.add(ADD);
    await turn();
    assert.equal(registry.pods.size, 0, 'the facts are of the pod before it');
    clock.advance(2_900);
    pods.applyFacts([FACTS], []);
    assert.equal((await answer).captured, true);
    assert.equal(registry.pods.get('u-1')?.serviceAccount, 'cart');
  });

  it('refuses, when nobody says who the pod is, where any pod is the mesh’s', async () => {
    for (const namespace of ['shop', 'mixed']) {
      for (const isConnected of [true, false]) {
        const { pods, clock, registry } = build(new FakeRegistry(), isConnected);
        const answer = pods.add({ ...ADD, namespace });
        answer.catch(() => undefined);
        await turn();
        clock.advance(3_000);
        await assert.rejects(answer, { code: 'AGENT_ENROLMENT_UNKNOWN', retryable: true });
        assert.equal(registry.pods.size, 0, 'its identity is never guessed');
        assert.equal(pods.counters.refused, 1);
      }
    }
  });

  it('lets others start, at once without a controller, and captures them when they are enrolled', async () => {
    const { pods, registry } = build(new FakeRegistry(), false);
    const answer = await pods.add({ ...ADD, namespace: 'bank' });
    assert.deepEqual(answer, { captured: false, reason: 'namespace bank is not enrolled' });
    registry.enrolments = new Map([['bank', { ...SHOP, namespace: 'bank' }]]);
    assert.equal(registry.rows[0]?.isWanted, false, 'not before it is known who it is');
    pods.applyFacts([{ ...FACTS, namespace: 'bank' }], []);
    assert.equal(registry.rows[0]?.isWanted, true);
    assert.equal(registry.pods.get('u-1')?.serviceAccount, 'cart');
  });

  it('refuses where no controller was ever heard, but for the mesh itself', async () => {
    const registry = new FakeRegistry();
    registry.enrolments = undefined;
    const { pods } = build(registry, false);
    await assert.rejects(pods.add(ADD), { code: 'AGENT_ENROLMENT_UNKNOWN', retryable: true });
    const exempt = await pods.add({ ...ADD, namespace: 'istio-system', name: 'istiod' });
    assert.equal(exempt.captured, false);
  });

  it('takes the uid from the controller where the runtime tells none', async () => {
    const { pods, registry } = build();
    pods.applyFacts([FACTS], []);
    await pods.add({ ...ADD, uid: '' });
    assert.deepEqual([...registry.pods.keys()], ['u-1']);
  });
});

describe('CniPods, afterwards', () => {
  it('takes a pod away with the attachment that it is served by, and with no other', async () => {
    const { pods, registry } = build();
    pods.applyFacts([FACTS], []);
    await pods.add(ADD);
    await pods.add({ ...ADD, containerId: 'c2', netns: '/run/netns/c2' });
    await pods.del({ containerId: 'c1', ifname: 'eth0' });
    await pods.del({ containerId: 'c2', ifname: 'net1' });
    assert.equal(registry.pods.size, 1, 'a new sandbox of the same pod is there');
    await pods.del({ containerId: 'c2', ifname: 'eth0' });
    await pods.del({ containerId: 'c2', ifname: 'eth0' });
    assert.equal(registry.pods.size, 0);
  });

  it('follows what is said of a running pod, and leaves alone what no runtime made', async () => {
    const { pods, registry } = build();
    pods.applyFacts([FACTS], []);
    await pods.add(ADD);
    const other = { ...ADD, uid: 'u-2', name: 'lab' };
    const made: Pod = {
      uid: 'u-2',
      name: 'lab',
      namespace: 'shop',
      serviceAccount: 'own',
      labels: {},
      annotations: {},
      netnsPath: other.netns,
      ips: [],
    };
    await registry.put(made);
    pods.applyFacts(
      [
        { ...FACTS, mode: 'none' },
        { ...FACTS, name: 'lab', uid: 'u-2' },
      ],
      ['shop/x'],
    );
    assert.deepEqual(
      registry.rows.map(({ pod, isWanted }) => [pod.name, pod.serviceAccount, isWanted]),
      [
        ['cart-0', 'cart', false],
        ['lab', 'own', true],
      ],
    );
  });

  it('takes in pods that ran before, once, and captures those that are enrolled', async () => {
    const { pods, registry } = build();
    pods.applyFacts([FACTS], []);
    const other = { ...ADD, namespace: 'bank', uid: 'u-9', containerId: 'c9' };
    assert.equal(await pods.adopt([ADD, other, { ...ADD, uid: '' }]), 2);
    assert.deepEqual(
      registry.rows.map(({ pod, isWanted }) => [pod.name, pod.namespace, isWanted]),
      [
        ['cart-0', 'shop', true],
        ['cart-0', 'bank', false],
      ],
    );
    assert.equal(await pods.adopt([ADD, other]), 0);
    registry.pods.clear();
    registry.enrolments = undefined;
    assert.equal(await pods.adopt([ADD]), 0, 'nothing is known yet');
  });

  it('collects what the runtime does not list for the same network', async () => {
    const { pods, registry } = build();
    pods.applyFacts(
      [FACTS, { ...FACTS, name: 'b', uid: 'u-2' }, { ...FACTS, name: 'c', uid: 'u-3' }],
      [],
    );
    await pods.add(ADD);
    await pods.add({ ...ADD, name: 'b', uid: 'u-2', containerId: 'c2' });
    await pods.add({ ...ADD, name: 'c', uid: 'u-3', containerId: 'c3', network: 'other' });
    const attachments = [{ containerId: 'c1', ifname: 'eth0' }];
    assert.equal(await pods.collect({ network: 'pods', attachments }), 1);
    assert.deepEqual([...registry.pods.keys()].sort(), ['u-1', 'u-3']);
  });
});

describe('questions of the plugin', () => {
  it('are refused with every problem, never half understood', () => {
    const bad: readonly unknown[] = [
      undefined,
      [],
      { ...ADD, namespace: '../x' },
      { ...ADD, name: '' },
      { ...ADD, uid: 'a/b' },
      { ...ADD, netns: 'relative' },
      { ...ADD, netns: '/a\0b' },
      { ...ADD, ips: ['10.0.0.300'] },
      { ...ADD, ips: undefined },
      { ...ADD, ips: Array.from({ length: 17 }, () => '10.0.0.1') },
      { ...ADD, containerId: '..' },
      { ...ADD, ifname: 'a b' },
    ];
    for (const value of bad) {
      assert.throws(() => parseAdd(value), { code: 'AGENT_POD_INVALID', retryable: false });
    }
    assert.throws(() => parseAdd({ namespace: 7 }), /namespace: found 7; name: found nothing/);
    assert.throws(() => parseCollect({ network: 'pods' }), /attachments/);
    assert.throws(() => parseCollect({ network: 'pods', attachments: [{}] }), /attachments/);
    assert.throws(() => parseAttachment({}), /containerId/);
  });

  it('are a value or an error of the agent, whatever they are', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        for (const parse of [parseAdd, parseAttachment, parseCollect]) {
          try {
            parse(value);
          } catch (error) {
            assert.ok(error instanceof AgentError);
          }
        }
      }),
    );
  });
});
