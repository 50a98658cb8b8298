import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { CertificateManager } from '@ambit/identity';
import {
  buildNode,
  createCertificateClient,
  DeltaClient,
  decodeEnrolment,
  openDeltaStream,
  subscribeTo,
  TYPE_URL,
} from '@ambit/xds';

import { FakeControlPlane } from './fake-control-plane.ts';

const AGENT = {
  namespace: 'istio-system',
  serviceAccount: 'ztunnel',
  pod: 'agent-1',
  node: 'node1',
} as const;

describe('FakeControlPlane', () => {
  it('feeds a client, sees its acknowledgement, and signs for pods of its node', async () => {
    const plane = await FakeControlPlane.start();
    const target = await plane.target(AGENT);
    plane.apply({
      enrolments: [{ namespace: 'shop', mode: 'ambient', exceptions: [], dnsCapture: true }],
    });
    const seen: string[] = [];
    const client = new DeltaClient({
      clock: systemClock,
      open: openDeltaStream(target),
      node: buildNode({
        type: 'ztunnel',
        ip: '127.0.0.1',
        podName: AGENT.pod,
        namespace: AGENT.namespace,
        metadata: { NODE_NAME: AGENT.node },
      }),
      subscriptions: [
        subscribeTo({
          typeUrl: TYPE_URL.enrolment,
          decode: decodeEnrolment,
          apply: ({ changed }) => {
            seen.push(...changed.keys());
            return Promise.resolve(undefined);
          },
        }),
      ],
    });
    client.start();
    await client.firstSync;
    await plane.until(() => plane.isSettled);
    assert.deepEqual(seen, ['shop']);

    plane.stop();
    await plane.until(() => !client.status().connected);
    await plane.listen();
    await plane.until(() => client.status().connected && plane.streams.length === 1);
    await client.stop();

    plane.addPod({ namespace: 'shop', serviceAccount: 'reviews', pod: 'reviews-1', node: 'node1' });
    plane.addPod({ namespace: 'shop', serviceAccount: 'ratings', pod: 'ratings-1', node: 'node2' });
    const ca = createCertificateClient({ ...target, impersonate: true });
    const manager = new CertificateManager({ clock: systemClock, sign: ca.sign, ttlSeconds: 60 });
    await manager.get('spiffe://cluster.local/ns/shop/sa/reviews');
    await assert.rejects(manager.get('spiffe://cluster.local/ns/shop/sa/ratings'));
    manager.stop();
    ca.close();
    plane.stop();
  });
});
