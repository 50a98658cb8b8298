import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { authorizeCertificateRequest, type PodIndex } from './authorize.ts';
import { recordings } from './testing-recordings.ts';
import type { TokenCaller } from './token.ts';

interface FakePod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
  readonly node: string;
  readonly phase: string;
}

const pod = (
  namespace: string,
  serviceAccount: string,
  node: string,
  phase = 'Running',
): FakePod => ({
  namespace,
  name: `${serviceAccount}-${node}`,
  uid: `uid-${serviceAccount}-${node}`,
  serviceAccount,
  node,
  phase,
});

/** The world of the recordings: client and reviews on node1, ratings on node2. */
const PODS = [
  pod('istio-system', 'ztunnel', 'node1'),
  pod('istio-system', 'ztunnel', 'node2'),
  pod('bookshop', 'client', 'node1'),
  pod('bookshop', 'reviews', 'node1'),
  pod('bookshop', 'ratings', 'node2'),
  pod('bookshop', 'failed', 'node1', 'Failed'),
];

const index: PodIndex = {
  pod: (namespace, name) => PODS.find((p) => p.namespace === namespace && p.name === name),
  hasPodOnNode: (query) =>
    PODS.some(
      (p) =>
        p.namespace === query.namespace &&
        p.serviceAccount === query.serviceAccount &&
        p.node === query.node &&
        p.phase !== 'Failed',
    ),
};

const callerOf = (record: FakePod): TokenCaller => ({
  namespace: record.namespace,
  serviceAccount: record.serviceAccount,
  pod: { name: record.name, uid: record.uid },
  node: record.node,
  expiresAtMs: 0,
});
const agent = callerOf(pod('istio-system', 'ztunnel', 'node1'));
const ordinary = callerOf(pod('bookshop', 'client', 'node1'));
const id = (account: string, trustDomain = 'cluster.local', namespace = 'bookshop'): string =>
  `spiffe://${trustDomain}/ns/${namespace}/sa/${account}`;

function decide(
  caller: TokenCaller,
  requestedIdentity?: string,
): ReturnType<typeof authorizeCertificateRequest> {
  return authorizeCertificateRequest({
    caller,
    ...(requestedIdentity === undefined ? {} : { requestedIdentity }),
    trustDomain: 'cluster.local',
    trustedNodeAccounts: new Set(['istio-system/ztunnel']),
    index,
  });
}

describe('authorizeCertificateRequest', () => {
  const granted: readonly (readonly [string, TokenCaller, string | undefined, string])[] = [
    ['an agent its own identity', agent, undefined, 'ztunnel'],
    ['an agent a pod of its node', agent, id('client'), 'client'],
    ['a pod its own identity', ordinary, undefined, 'client'],
    ['a pod its own identity by name', ordinary, id('client'), 'client'],
  ];
  for (const [name, caller, requested, account] of granted) {
    it(`grants ${name}`, () => {
      const decision = decide(caller, requested);
      assert.ok(decision.kind === 'granted', JSON.stringify(decision));
      assert.equal(decision.identity.serviceAccount, account);
    });
  }

  const refused: readonly (readonly [string, TokenCaller, string | undefined])[] = [
    ['an agent a pod of another node only', agent, id('ratings')],
    ['an agent an account without pods', agent, id('nobody')],
    ['an agent an account whose pods have failed', agent, id('failed')],
    ['an agent the same name in another namespace', agent, id('client', 'cluster.local', 'other')],
    ['an agent another trust domain', agent, id('client', 'other.domain')],
    ['an agent what is no SPIFFE id', agent, 'client'],
    ['an agent an empty identity', agent, ''],
    ['an agent whose pod is gone', { ...agent, pod: { ...agent.pod, name: 'gone' } }, id('client')],
    [
      'an agent with the uid of an earlier pod',
      { ...agent, pod: { ...agent.pod, uid: 'old' } },
      id('client'),
    ],
    [
      'an agent whose pod runs as another account',
      { ...agent, pod: { name: 'client-node1', uid: 'uid-client-node1' } },
      id('client'),
    ],
    [
      'an agent that claims another node than its pod’s',
      { ...agent, node: 'node2' },
      id('ratings'),
    ],
    ['a pod another identity of its node', ordinary, id('reviews')],
    ['a pod the agent’s identity', ordinary, id('ztunnel', 'cluster.local', 'istio-system')],
    ['a pod that is gone', { ...ordinary, pod: { name: 'gone', uid: 'x' } }, undefined],
  ];
  for (const [name, caller, requested] of refused) {
    it(`refuses ${name}, and does not say why`, () => {
      const decision = decide(caller, requested);
      assert.ok(decision.kind === 'refused', JSON.stringify(decision));
      assert.equal(
        decision.publicMessage,
        requested === undefined
          ? 'request authenticate failure'
          : 'request impersonation authentication failure',
      );
      assert.notEqual(decision.reason, '');
    });
  }

  it('decides every recorded impersonation as the reference, but for the trust domain', () => {
    let compared = 0;
    for (const { name, status, message, requestedIdentity } of recordings.requests) {
      if (requestedIdentity === null || status === 'InvalidArgument') {
        continue;
      }
      const decision = decide(name.includes('ordinary-pod') ? ordinary : agent, requestedIdentity);
      // The reference signs for any trust domain. Ours differs on purpose.
      const isGranted = status === 'OK' && !name.includes('another-trust-domain');
      assert.equal(decision.kind, isGranted ? 'granted' : 'refused', name);
      if (decision.kind === 'refused' && status !== 'OK') {
        assert.equal(decision.publicMessage, message, name);
      }
      compared += 1;
    }
    assert.ok(compared >= 7, String(compared));
  });
});
