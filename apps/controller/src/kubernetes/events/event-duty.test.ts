import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { fail } from '@ambit/kube/testing';
import { type Condition, type ObjectStatus, splitKey } from '@ambit/model';
import { createRegistry } from '@ambit/telemetry';

import { createDutyMetrics } from '../../metrics.ts';
import { fakeCluster } from '../context.testing.ts';
import { EventDuty } from './event-duty.ts';
import type { Regarded } from './event-object.ts';

const KINDS = [{ group: 'events.k8s.io', versions: ['v1'], resource: 'events', kind: 'Event' }];
const SECOND = 1_000;
const MINUTE = 60_000;
const POLICY = 'AuthorizationPolicy/shop/p';
const REFUSED: Condition = {
  type: 'Accepted',
  status: 'False',
  reason: 'Invalid',
  message: 'spec.action is no action',
  observedGeneration: 1,
};
const UNENFORCED: Condition = {
  ...REFUSED,
  type: 'Enforced',
  status: 'Unknown',
  reason: 'Waiting',
  message: 'for a proxy',
};

interface Told {
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly reason: string;
  readonly note: string;
  readonly regarding: Readonly<Record<string, unknown>>;
  readonly series?: { readonly count: number };
}

async function rig() {
  const clock = new FakeClock();
  const { server, context, settle, ...rest } = await fakeCluster(KINDS, clock);
  const metrics = createDutyMetrics(createRegistry());
  const statuses = new Map<string, ObjectStatus>();
  const uncaptured = new Set<string>();
  const duty = new EventDuty({
    context,
    metrics,
    book: { of: (key) => statuses.get(key), all: () => [...statuses.values()] },
    regardedOf: (key): Regarded => {
      const { kind, namespace, name } = splitKey(key);
      return { apiVersion: 'v1', kind, namespace, name, uid: `uid of ${key}` };
    },
    uncaptured: () => uncaptured,
  });
  const term = new AbortController();
  return {
    server,
    duty,
    term,
    uncaptured,
    set(key: string, ...conditions: readonly Condition[]): void {
      statuses.set(key, { key, conditions, findings: [] });
      duty.changed([key]);
    },
    settle,
    /** In steps of a second, so that what sleeps within the time sleeps again. */
    async pass(ms: number): Promise<void> {
      for (let left = ms; left > 0; left -= 5 * SECOND) {
        clock.advance(Math.min(left, 5 * SECOND));
        for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
      }
      await settle();
    },
    events(): readonly Told[] {
      const names = server.requests
        .filter(({ method }) => method === 'POST')
        .map(({ body }) => (JSON.parse(body) as Told).metadata);
      return names.flatMap(({ namespace, name }) => {
        const found = server.get('events', `${namespace}/${name}`);
        return found === undefined ? [] : [found as unknown as Told];
      });
    },
    async count(result: string): Promise<number> {
      const { values } = await metrics.events.get();
      return values.find(({ labels }) => labels.result === result)?.value ?? 0;
    },
    async [Symbol.asyncDispose]() {
      term.abort();
      clock.advance(10 * SECOND);
      await duty.idle();
      await rest[Symbol.asyncDispose]();
    },
  };
}

describe('EventDuty', () => {
  it('tells a refusal at once, and again with a count', async () => {
    await using bed = await rig();
    bed.duty.lead(bed.term.signal);
    bed.set(POLICY, REFUSED);
    await bed.settle();
    const [event] = bed.events();
    assert.equal(event?.reason, 'Invalid');
    assert.equal(event.note, 'spec.action is no action');
    assert.equal(event.metadata.namespace, 'shop');
    assert.equal(event.regarding['uid'], `uid of ${POLICY}`);
    bed.set(POLICY, REFUSED);
    await bed.pass(9 * MINUTE);
    assert.equal(bed.server.requests.length, 2, 'not within ten minutes');
    await bed.pass(2 * MINUTE);
    assert.equal(bed.events()[0]?.series?.count, 2);
    await bed.pass(11 * MINUTE);
    assert.equal(bed.events()[0]?.series?.count, 3);
    assert.equal(bed.events().length, 1);
  });

  it('tells what lasts, and nothing of what does not', async () => {
    await using bed = await rig();
    bed.duty.lead(bed.term.signal);
    await bed.settle();
    bed.set(POLICY, UNENFORCED);
    await bed.pass(20 * SECOND);
    bed.set(POLICY, { ...UNENFORCED, status: 'True' });
    await bed.pass(20 * SECOND);
    bed.set(POLICY, UNENFORCED);
    await bed.pass(25 * SECOND);
    assert.deepEqual(bed.events(), []);
    await bed.pass(15 * SECOND);
    assert.deepEqual(
      bed.events().map(({ reason, note }) => [reason, note]),
      [['NotEnforced', 'Waiting: for a proxy']],
    );
  });

  it('tells of pods that no agent captures', async () => {
    await using bed = await rig();
    bed.uncaptured.add('Pod/shop/p').add('Pod/shop/soon');
    bed.duty.lead(bed.term.signal);
    await bed.pass(20 * SECOND);
    bed.uncaptured.delete('Pod/shop/soon');
    await bed.pass(20 * SECOND);
    assert.deepEqual(
      bed.events().map(({ reason, regarding }) => [reason, regarding['name']]),
      [['NotCaptured', 'p']],
    );
  });

  it('does not begin anew when a problem comes and goes', async () => {
    await using bed = await rig();
    bed.duty.lead(bed.term.signal);
    for (let round = 0; round < 20; round += 1) {
      bed.set(POLICY, { ...REFUSED, message: `fault ${round}` });
      await bed.pass(5 * SECOND);
      bed.set(POLICY, { ...REFUSED, status: 'True', reason: 'Accepted' });
      await bed.pass(5 * SECOND);
    }
    assert.equal(bed.events().length, 1);
  });

  it('goes on with what an earlier leader began', async () => {
    await using bed = await rig();
    bed.set(POLICY, REFUSED);
    const first = new AbortController();
    bed.duty.lead(first.signal);
    await bed.settle();
    first.abort();
    await bed.duty.idle();
    bed.duty.lead(bed.term.signal);
    await bed.settle();
    assert.deepEqual(
      bed.events().map(({ series }) => series?.count),
      [2],
    );
  });

  it('writes a few a second', async () => {
    await using bed = await rig();
    for (let index = 0; index < 60; index += 1)
      bed.set(`AuthorizationPolicy/shop/p${index}`, REFUSED);
    bed.duty.lead(bed.term.signal);
    await bed.settle();
    assert.equal(bed.events().length, 25);
    for (let index = 0; index < 10; index += 1) await bed.pass(SECOND);
    assert.ok(bed.events().length <= 76 && bed.events().length === 60, String(bed.events().length));
  });

  it('drops and counts what is too much', async () => {
    await using bed = await rig();
    for (let index = 0; index < 1_500; index += 1)
      bed.set(`AuthorizationPolicy/shop/p${index}`, REFUSED);
    bed.duty.lead(bed.term.signal);
    await bed.settle();
    assert.equal(await bed.count('dropped'), 500);
  });

  it('does not insist on what the server refuses', async () => {
    await using bed = await rig();
    const serve = bed.server.intercept;
    bed.server.intercept = (request, response) => {
      if (request.method !== 'POST') return serve(request, response);
      fail(response, 403, 'Forbidden');
      return true;
    };
    bed.duty.lead(bed.term.signal);
    bed.set(POLICY, REFUSED);
    await bed.pass(5 * MINUTE);
    assert.equal(bed.server.requests.filter(({ method }) => method === 'POST').length, 1);
    assert.equal(await bed.count('refused'), 1);
  });

  it('tells nothing after its term', async () => {
    await using bed = await rig();
    bed.duty.lead(bed.term.signal);
    bed.term.abort();
    await bed.duty.idle();
    bed.set(POLICY, REFUSED);
    await bed.pass(MINUTE);
    assert.equal(bed.server.requests.length, 0);
  });
});
