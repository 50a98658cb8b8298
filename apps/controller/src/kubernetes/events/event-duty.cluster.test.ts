/** Events on a real API server: that it takes them, and counts them up. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';

import type { KubeObject } from '@ambit/kube';
import { openTestCluster, type TestCluster } from '@ambit/kube/testing';
import type { ObjectStatus } from '@ambit/model';
import { until } from '../../until.testing.ts';
import { contextOf } from '../context.testing.ts';
import { EventDuty } from './event-duty.ts';
import { EVENTS, type Regarded } from './event-object.ts';

let cluster: TestCluster;
let namespace: string;
const unique = randomBytes(4).toString('hex');

before(async () => {
  cluster = await openTestCluster('events');
  namespace = await cluster.namespace();
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
});

async function eventsIn(of: string): Promise<readonly KubeObject[]> {
  const found = await cluster.client.list(EVENTS, { namespace: of });
  return found.filter(
    (event) => (event['regarding'] as Partial<Regarded> | undefined)?.uid === unique,
  );
}

describe('EventDuty on a real API server', () => {
  it('makes an event, and counts it up for the next leader', async () => {
    const regarded = (name: string, of: string): Regarded => ({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      namespace: of,
      name,
      uid: unique,
    });
    const statuses = ['own', 'cluster'].map((key): ObjectStatus => {
      const message = `spec.action is no action: ${'😀'.repeat(500)}`;
      const accepted = { type: 'Accepted', status: 'False', reason: 'Invalid', message } as const;
      return { key, conditions: [{ ...accepted, observedGeneration: 1 }], findings: [] };
    });
    const duty = new EventDuty({
      context: contextOf(cluster),
      book: { of: (key) => statuses.find((one) => one.key === key), all: () => statuses },
      regardedOf: (key) => (key === 'own' ? regarded('p', namespace) : regarded('c', '')),
      uncaptured: () => [],
    });
    for (const count of [undefined, 2, 3]) {
      const term = new AbortController();
      duty.lead(term.signal);
      for (const place of [namespace, 'default']) {
        await until(async () => {
          const [event] = await eventsIn(place);
          const series = event?.['series'] as { readonly count: number } | null | undefined;
          return event !== undefined && series?.count === count;
        });
      }
      term.abort();
      await duty.idle();
    }
    const [event, ...others] = await eventsIn(namespace);
    assert.deepEqual(others, []);
    assert.equal(event?.['reason'], 'Invalid');
    assert.equal(event?.['reportingController'], 'ambit.io/controller');
    assert.equal(event?.['reportingInstance'], 'ambit-controller-0');
    assert.match(String(event?.['note']), /^spec\.action is no action: .*…$/);
  });
});
