/** The file of revocation lists as it comes, changes and goes, and whoever is to be told of it. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';

import { CrlWatch } from './crl-watch.ts';
import { buildCrl } from './testing/index.ts';
import { buildCa, type Issuer } from './x509.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const HOUR_MS = 3_600_000;

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const { certificate } = buildCa({
  privateKey,
  organization: 't',
  commonName: 'root',
  validity: { notBeforeMs: NOW - 24 * HOUR_MS, notAfterMs: NOW + 24 * HOUR_MS },
});
const root: Issuer = { certificate, privateKey };

/** A list of one CA. */
function crl(...revoked: readonly string[]): Buffer {
  const times = { thisUpdateMs: NOW - HOUR_MS, nextUpdateMs: NOW + HOUR_MS };
  return Buffer.from(buildCrl({ issuer: root, ...times, revoked }));
}

describe('CrlWatch', () => {
  class Rig {
    readonly clock = new FakeClock();
    readonly states: string[] = [];
    readonly problems: string[] = [];
    file: Buffer | undefined | Error;
    /** How many of the next changes are heard and not taken. */
    failing = 0;
    readonly watch = new CrlWatch({
      clock: this.clock,
      read: async () => {
        if (this.file instanceof Error) throw this.file;
        return await Promise.resolve(this.file);
      },
      onChange: (state) => {
        this.failing -= 1;
        this.states.push(this.failing >= 0 ? `not ${state.kind}` : state.kind);
        if (this.failing >= 0) throw new Error('no worker');
      },
      onProblem: (reason, { isInUse }) => {
        this.problems.push(`${isInUse ? 'kept' : 'none'}: ${reason}`);
      },
    });

    constructor(file: Buffer | undefined | Error) {
      this.file = file;
    }

    async next(file: Buffer | undefined | Error): Promise<void> {
      this.file = file;
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.clock.advance(5_000);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }

    async [Symbol.asyncDispose](): Promise<void> {
      await this.watch.stop();
    }
  }
  const one = crl();
  const two = crl('0123');

  it('takes what is there, and every change of it', async () => {
    await using rig = new Rig(one);
    assert.equal(rig.watch.state.kind, 'unusable');
    await rig.watch.start();
    await rig.next(one);
    await rig.next(two);
    await rig.next(Buffer.from(''));
    assert.deepEqual(rig.states, ['lists', 'lists', 'none']);
    assert.deepEqual(rig.problems, []);
  });

  it('keeps what was good when the file is bad, gone, or cannot be read, and says so once', async () => {
    await using rig = new Rig(one);
    await rig.watch.start();
    await rig.next(Buffer.from('bad'));
    await rig.next(Buffer.from('bad'));
    await rig.next(undefined);
    await rig.next(new Error('EACCES'));
    assert.deepEqual(rig.states, ['lists']);
    assert.equal(rig.problems.length, 3);
    assert.ok(rig.problems.every((problem) => problem.startsWith('kept: ')));
    assert.equal(rig.watch.status.summaries.length, 1);
    assert.equal(rig.watch.status.problem, 'EACCES');
    await rig.next(two);
    assert.deepEqual(rig.states, ['lists', 'lists']);
    assert.equal(rig.watch.status.problem, undefined);
  });

  it('takes for in use only what was handed on, and tries again', async () => {
    await using rig = new Rig(one);
    await rig.watch.start();
    rig.failing = 2;
    await rig.next(two);
    assert.deepEqual(rig.watch.state, { kind: 'lists', file: one });
    assert.equal(rig.watch.status.summaries[0]?.revoked, 0);
    assert.match(rig.watch.status.problem ?? '', /cannot be handed on: no worker/);
    await rig.next(two);
    assert.deepEqual([rig.watch.status.failures, rig.problems.length], [2, 1]);
    await rig.next(two);
    assert.deepEqual(rig.watch.state, { kind: 'lists', file: two });
    assert.equal(rig.watch.status.summaries[0]?.revoked, 1);
    assert.equal(rig.watch.status.problem, undefined);
    await rig.next(two);
    assert.deepEqual(rig.states, ['lists', 'not lists', 'not lists', 'lists']);
    assert.deepEqual(rig.problems, ['kept: what is in the file cannot be handed on: no worker']);
  });

  it('hands on again what is in use, where some may have heard of another', async () => {
    await using rig = new Rig(one);
    await rig.watch.start();
    for (const file of [two, Buffer.from('')]) {
      rig.failing = 1;
      await rig.next(file);
      assert.deepEqual(rig.watch.state, { kind: 'lists', file: one });
      await rig.next(one);
      assert.equal(rig.watch.status.problem, undefined);
    }
    assert.deepEqual(rig.states, ['lists', 'not lists', 'lists', 'not none', 'lists']);
  });

  for (const [title, file, says, then] of [
    ['the first lists', one, ['not lists', 'not unusable', 'lists'], 'lists'],
    ['that there is no file', undefined, ['not none', 'not unusable', 'none'], 'none'],
    ['a bad file', Buffer.from('bad'), ['not unusable', 'not unusable', 'unusable'], 'unusable'],
    [
      'a file that cannot be read',
      new Error('x'),
      ['not unusable', 'not unusable', 'unusable'],
      'unusable',
    ],
  ] as const) {
    it(`trusts nobody while it cannot hand on ${title}`, async () => {
      await using rig = new Rig(file);
      rig.failing = 2;
      await rig.watch.start();
      assert.equal(rig.watch.state.kind, 'unusable');
      while (rig.states.length < 3) {
        assert.ok(rig.watch.status.problem !== undefined);
        await rig.next(file);
      }
      assert.deepEqual([rig.states, rig.watch.state.kind], [says, then]);
      assert.equal(rig.watch.status.failures, 2);
      await rig.next(file);
      assert.equal(rig.states.length, 3, 'and tells it once');
    });
  }

  it('trusts nobody when lists come where none were, and cannot be handed on', async () => {
    await using rig = new Rig(undefined);
    await rig.watch.start();
    rig.failing = 2;
    await rig.next(one);
    assert.equal(rig.watch.state.kind, 'unusable');
    assert.match(rig.problems[0] ?? '', /^none: .*no worker/);
    rig.failing = 1;
    await rig.next(undefined);
    assert.equal(rig.watch.state.kind, 'unusable', 'also when they go');
    await rig.next(undefined);
    await rig.next(one);
    assert.deepEqual(rig.states, [
      'none',
      'not lists',
      'not unusable',
      'not unusable',
      'unusable',
      'lists',
    ]);
  });

  it('trusts nobody with a bad file where none was ever good', async () => {
    await using rig = new Rig(Buffer.from('bad'));
    await rig.watch.start();
    assert.deepEqual(rig.states, ['unusable']);
    await rig.next(one);
    assert.deepEqual(rig.states, ['unusable', 'lists']);
  });

  it('has none where there is no file, and trusts nobody when a bad one comes', async () => {
    await using rig = new Rig(undefined);
    await rig.watch.start();
    assert.deepEqual(rig.states, ['none']);
    await rig.next(Buffer.from('bad'));
    assert.deepEqual(rig.states, ['none', 'unusable']);
    await rig.next(Buffer.from(''));
    assert.deepEqual(rig.states, ['none', 'unusable', 'none']);
    assert.equal(rig.watch.status.problem, undefined);
  });

  it('goes on to trust nobody when a bad file goes, and says so', async () => {
    await using rig = new Rig(Buffer.from('bad'));
    await rig.watch.start();
    await rig.next(undefined);
    await rig.next(undefined);
    assert.deepEqual(rig.states, ['unusable']);
    assert.equal(rig.problems.length, 2);
    assert.match(rig.problems[1] ?? '', /^none: .*gone/);
    assert.match(rig.watch.status.problem ?? '', /gone/);
    await rig.next(one);
    await rig.next(Buffer.from(''));
    await rig.next(undefined);
    assert.deepEqual(rig.states, ['unusable', 'lists', 'none']);
    assert.equal(rig.watch.status.problem, undefined);
  });
});
