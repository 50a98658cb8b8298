/**
 * Sessions: whatever a peer says, a session ends by its own errors only, keeps no stream when it is over, and tells each
 * stream once that it is closed.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { MeshError } from '@ambit/core';
import { cutAnyhow, fuzzTest, makeInput, type Random } from '@ambit/core/fuzzing';
import { MESH_LIMITS } from '../session/limits.ts';
import { echo } from '../testing/echo-server.ts';
import { settled } from '../testing/raw-peer.ts';
import { clientRig, serverRig } from '../testing/sessions.ts';
import { CLIENT_SEEDS, changeFrame, SERVER_SEEDS } from './corpus.ts';

const TURNS = 3;
const REQUESTS = 3;
const BYTES_MAX = 20_000;

function checkClosed(closed: readonly (Error | undefined)[], openStreams: number): void {
  assert.ok(closed.length <= 1, 'closed once');
  const [error] = closed;
  assert.ok(error === undefined || error instanceof MeshError, String(error));
  assert.ok(closed.length === 0 || openStreams === 0, 'streams of a session that is over');
}

async function checkServer(bytes: Buffer, random: Random): Promise<void> {
  const closes = new Map<number, number>();
  const rig = serverRig({
    onStream: (stream) => {
      stream.whenClosed(() => closes.set(stream.id, (closes.get(stream.id) ?? 0) + 1));
      echo(stream);
    },
  });
  rig.peer.send(...cutAnyhow(bytes, random));
  await settled(TURNS);
  checkClosed(rig.closed, rig.session.openStreams);
  assert.ok(rig.session.openStreams <= MESH_LIMITS.streamsMax);
  assert.equal(rig.counters.callbackErrors, 0);
  rig.session.destroy();
  await settled(TURNS);
  assert.deepEqual([rig.closed.length, rig.session.openStreams], [1, 0]);
  assert.equal(closes.size, rig.streams.length);
  assert.ok([...closes.values()].every((times) => times === 1));
}

async function checkClient(bytes: Buffer, random: Random): Promise<void> {
  const rig = clientRig();
  let [answers, closes] = [0, 0];
  for (let n = 0; n < REQUESTS; n += 1) {
    const answer = (): void => {
      answers += 1;
    };
    const head = { method: 'POST', scheme: 'http', authority: 'a', path: '/', fields: [] };
    const stream = rig.session.request(head, { onResponse: answer, onNoResponse: answer });
    stream.start({
      onData: (chunk) => void stream.write(chunk),
      onEnd: () => stream.end(),
      onDrain: () => undefined,
      onClose: () => {
        closes += 1;
      },
    });
  }
  rig.peer.send(...cutAnyhow(bytes, random));
  await settled(TURNS);
  checkClosed(rig.closed, rig.session.openStreams);
  assert.equal(rig.counters.callbackErrors, 0);
  rig.session.destroy();
  await settled(TURNS);
  assert.deepEqual([answers, closes, rig.session.openStreams], [REQUESTS, REQUESTS, 0]);
}

for (const [name, seeds, check] of [
  ['server', CLIENT_SEEDS, checkServer],
  ['client', SERVER_SEEDS, checkClient],
] as const) {
  it(`a ${name} told anything`, async (t) => {
    const format = { seeds, changePart: changeFrame, bytesMax: BYTES_MAX };
    await fuzzTest(t, {
      name: `session of a ${name}`,
      share: 0.05,
      make: (random) => Buffer.concat(makeInput(random, { ...format, tokens: random.pick(seeds) })),
      check,
      show: (bytes) => bytes.toString('hex'),
    });
  });
}
