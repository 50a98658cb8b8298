import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import { KubeClient } from './client.ts';
import { FakeApiServer } from './fake-api-server.ts';
import { KubeHttp } from './http.ts';
import { LeaderElection, type LeaderElectionOptions } from './lease.ts';
import { until } from './reflector.testing.ts';
import type { KubeObject } from './resources.ts';

const LEASES = {
  group: 'coordination.k8s.io',
  versions: ['v1'],
  resource: 'leases',
  kind: 'Lease',
};

/** A fake clock whose wall can jump. */
class JumpingClock extends FakeClock {
  jumpMs = 0;

  override wallNow(): number {
    return super.wallNow() + this.jumpMs;
  }
}

interface Bed extends AsyncDisposable {
  readonly server: FakeApiServer;
  readonly clock: JumpingClock;
  readonly told: string[];
  readonly cut: Set<string>;
  candidate(identity: string, options?: Partial<LeaderElectionOptions>): LeaderElection;
  /** Lets time pass in small steps, with room for requests between them. */
  pass(ms: number): Promise<void>;
  spec(): Record<string, unknown>;
}

async function bed(): Promise<Bed> {
  const server = new FakeApiServer([LEASES]);
  await server.start();
  const clock = new JumpingClock();
  const told: string[] = [];
  const cut = new Set<string>();
  const elections: LeaderElection[] = [];
  const https: KubeHttp[] = [];
  server.intercept = (request, response) => {
    const isCut = cut.has(request.headers['user-agent'] ?? '');
    if (isCut) {
      response.destroy();
    }
    return isCut;
  };
  return {
    server,
    clock,
    told,
    cut,
    candidate(identity, options = {}) {
      const { credentials } = server;
      const http = new KubeHttp({ credentials, clock: systemClock, userAgent: identity });
      https.push(http);
      const election = new LeaderElection({
        client: new KubeClient({ http }),
        clock,
        namespace: 'a',
        name: 'leader',
        identity,
        random: () => 0.5,
        onAcquired: (signal) => {
          told.push(`${identity} acquired`);
          signal.addEventListener('abort', () => told.push(`${identity} aborted`));
        },
        onLost: (reason) => void told.push(`${identity} lost: ${reason}`),
        ...options,
      });
      elections.push(election);
      election.start();
      return election;
    },
    async pass(ms) {
      for (let passed = 0; passed < ms; passed += 500) {
        clock.advance(500);
        await systemClock.sleep(5);
      }
    },
    spec: () => server.get('leases', 'a/leader')?.['spec'] as Record<string, unknown>,
    async [Symbol.asyncDispose]() {
      await Promise.all(elections.map(async (election) => await election.stop()));
      for (const http of https) {
        http.close();
      }
      await server[Symbol.asyncDispose]();
    },
  };
}

describe('LeaderElection', () => {
  it('makes the lease with the labels by which it is found when all goes', async () => {
    await using b = await bed();
    const one = b.candidate('one', { labels: { of: 'us' } });
    await until(() => one.isLeader);
    assert.deepEqual(b.server.get('leases', 'a/leader')?.metadata.labels, { of: 'us' });
  });

  it('gives the lease to one of two and keeps it there', async () => {
    await using b = await bed();
    const one = b.candidate('one');
    await until(() => one.isLeader);
    const two = b.candidate('two');
    await b.pass(40_000);
    assert.deepEqual(b.told, ['one acquired']);
    assert.equal(two.isLeader, false);
    assert.equal(two.holder, 'one');
    assert.equal(b.spec()['leaseTransitions'], 0);
  });

  it('ends for the holder before another can have it', async () => {
    await using b = await bed();
    const one = b.candidate('one');
    await until(() => one.isLeader);
    const two = b.candidate('two');
    await until(() => two.holder === 'one');
    b.cut.add('one');
    await b.pass(12_000);
    assert.deepEqual(b.told.slice(1), ['one aborted', 'one lost: not renewed in time']);
    assert.equal(two.isLeader, false);
    await b.pass(10_000);
    assert.deepEqual(b.told.slice(3), ['two acquired']);
    assert.equal(b.spec()['leaseTransitions'], 1);
    b.cut.delete('one');
    await b.pass(20_000);
    assert.equal(one.isLeader, false);
    assert.equal(one.holder, 'two');
  });

  it('is no leader by the clock alone, before any timer has run', async () => {
    await using b = await bed();
    const one = b.candidate('one');
    await until(() => one.isLeader);
    b.clock.advance(10_000);
    assert.equal(one.isLeader, false);
  });

  it('is no leader when only the wall clock says that the time is over', async () => {
    await using b = await bed();
    const one = b.candidate('one');
    await until(() => one.isLeader);
    b.clock.jumpMs = 11_000;
    assert.equal(one.isLeader, false);
  });

  it('does not end because the wall clock goes back', async () => {
    await using b = await bed();
    const one = b.candidate('one');
    await until(() => one.isLeader);
    b.clock.jumpMs = -3_600_000;
    await b.pass(30_000);
    assert.deepEqual(b.told, ['one acquired']);
  });

  it('waits the duration on its own clock, whatever times the lease names', async () => {
    for (const renewTime of ['2001-01-01T00:00:00.000000Z', '2199-01-01T00:00:00.000000Z']) {
      await using b = await bed();
      const spec = { holderIdentity: 'dead', leaseDurationSeconds: 15, renewTime };
      b.server.put('leases', { metadata: { namespace: 'a', name: 'leader' }, spec });
      const one = b.candidate('one');
      await until(() => one.holder === 'dead');
      await b.pass(14_500);
      assert.equal(one.isLeader, false, renewTime);
      await b.pass(4_000);
      assert.equal(one.isLeader, true, renewTime);
    }
  });

  it('does not believe in a duration shorter than its own', async () => {
    await using b = await bed();
    const spec = { holderIdentity: 'other', leaseDurationSeconds: 0 };
    b.server.put('leases', { metadata: { namespace: 'a', name: 'leader' }, spec });
    const one = b.candidate('one');
    await until(() => one.holder === 'other');
    await b.pass(10_000);
    assert.equal(one.isLeader, false);
  });

  it('gives the lease back on stop, after what was begun has ended', async () => {
    await using b = await bed();
    const ending = Promise.withResolvers<void>();
    const one = b.candidate('one', { onLost: async () => await ending.promise });
    await until(() => one.isLeader);
    const two = b.candidate('two');
    await until(() => two.holder === 'one');
    const stopped = one.stop();
    await b.pass(4_000);
    assert.equal(b.spec()['holderIdentity'], 'one');
    assert.equal(one.isLeader, false);
    ending.resolve();
    await stopped;
    assert.equal(b.spec()['holderIdentity'], '');
    await b.pass(2_500);
    assert.equal(two.isLeader, true);
  });

  it('ends when another has written itself into the lease', async () => {
    await using b = await bed();
    const one = b.candidate('one');
    await until(() => one.isLeader);
    const lease = b.server.get('leases', 'a/leader') as KubeObject;
    const metadata = { namespace: 'a', name: 'leader' };
    b.server.put('leases', { ...lease, metadata, spec: { holderIdentity: 'thief' } });
    await b.pass(3_000);
    assert.deepEqual(b.told.slice(1), ['one aborted', 'one lost: held by "thief"']);
  });

  it('stays leader when the answer to a renewal was lost', async () => {
    await using b = await bed();
    const one = b.candidate('one');
    await until(() => one.isLeader);
    let lost = 0;
    b.server.intercept = (request, response) => {
      if (request.method === 'PUT' && lost === 0) {
        lost += 1;
        b.server.put('leases', JSON.parse(request.body) as KubeObject);
        response.destroy();
        return true;
      }
      return false;
    };
    await b.pass(30_000);
    assert.equal(lost, 1);
    assert.deepEqual(b.told, ['one acquired']);
  });

  it('refuses times by which two could lead at once', () => {
    const times: Partial<LeaderElectionOptions>[] = [
      { durationMs: 10_000, renewDeadlineMs: 10_000 },
      { durationMs: 10_000, renewDeadlineMs: 12_000 },
      { renewDeadlineMs: 2_000, retryMs: 2_000 },
      { retryMs: 0 },
      { retryMs: Number.NaN },
      { identity: '' },
    ];
    for (const options of times) {
      const make = () =>
        new LeaderElection({
          client: undefined as never,
          clock: new FakeClock(),
          namespace: 'a',
          name: 'leader',
          identity: 'one',
          onAcquired: () => undefined,
          ...options,
        });
      assert.throws(make, { code: 'KUBE_CONFIG_INVALID' }, JSON.stringify(options));
    }
  });
});
