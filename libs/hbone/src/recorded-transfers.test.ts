/**
 * Replays long transfers between two agents of the reference. Frames are cut elsewhere by ours, so it is bytes that are compared:
 * all of them arrive, and at no time more are under way than the recorded side, or ours, allowed.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import type { ClientStream } from '@ambit/h2';
import { clientRig, type RawPeer, serverRig, settled } from '@ambit/h2/testing';
import type { ByteConn } from '@ambit/proxy';
import { Recorder } from '@ambit/proxy/testing';
import { TestCa } from '@ambit/testkit';

import { HbonePool } from './pool.ts';
import {
  eventually,
  FramePeer,
  FrameServer,
  PREFACE,
  Replayed,
  type TransferStep as Step,
  TRANSFERS,
  TunnelRig,
  withoutPseudo,
} from './testing/index.ts';

const CA = new TestCa();
const SERVER = CA.workload('default', 'server');
const CLIENT = CA.workload('default', 'client');

function bytesSent(steps: readonly Step[], from: string): number {
  return steps
    .filter((step) => step.from === from && step.type === 'DATA')
    .reduce((sum, { length = 0, repeat = 1 }) => sum + length * repeat, 0);
}

function write(stream: ByteConn | undefined, step: Step): void {
  const { length = 0, repeat = 1, end = false } = step;
  assert.ok(stream !== undefined);
  if (length > 0) {
    stream.write(Buffer.alloc(length * repeat));
  }
  if (end) {
    stream.end();
  }
}

function assertWhole(
  { peer, recorder }: { readonly peer: RawPeer; readonly recorder: Recorder | undefined },
  steps: readonly Step[],
  theirs: string,
): void {
  const ours = theirs === 'client' ? 'server' : 'client';
  assert.equal(peer.dataBytes, bytesSent(steps, ours), 'they got all');
  assert.ok(
    peer.frames.some((said) => /^DATA 1 \d+ end$/.test(said)),
    'and its end',
  );
  assert.equal(recorder?.bytes, bytesSent(steps, theirs), 'ours got all');
  assert.ok(recorder.events.includes('end'));
}

/** The same, when all that is on loopback has come. */
async function untilWhole(
  ends: { readonly peer: RawPeer; readonly recorder: Recorder | undefined },
  steps: readonly Step[],
  theirs: string,
): Promise<void> {
  const { peer, recorder } = ends;
  const ours = theirs === 'client' ? 'server' : 'client';
  await eventually(
    () => peer.dataBytes >= bytesSent(steps, ours) && recorder?.events.includes('end') === true,
    `${peer.dataBytes} of ours, ${recorder?.bytes} of theirs`,
  );
  await eventually(() => peer.frames.some((said) => /^DATA 1 \d+ end$/.test(said)));
  assertWhole(ends, steps, theirs);
}

for (const { name, description, steps } of TRANSFERS) {
  describe(`${name}: ${description}`, () => {
    it('by a server of ours', async () => {
      const { peer, streams, counters } = serverRig();
      const replayed = new Replayed(peer);
      let recorder: Recorder | undefined;
      peer.send(PREFACE);
      for (const step of steps) {
        const [stream] = streams;
        if (step.from === 'client') {
          await replayed.say(step);
        } else if (step.type === 'HEADERS') {
          assert.ok(stream !== undefined);
          stream.respond({ status: 200, fields: withoutPseudo(step.fields ?? []).slice(2) });
          recorder = Recorder.on(stream);
        } else if (step.type === 'DATA') {
          write(stream, step);
        }
        await settled(1);
        replayed.checkOurs();
      }
      await settled();
      assertWhole({ peer, recorder }, steps, 'client');
      assert.deepEqual([counters.protocolErrors, counters.streamErrors], [0, 0]);
    });

    it('by a client of ours', async () => {
      const { peer, session, counters } = clientRig();
      const replayed = new Replayed(peer);
      let stream: ClientStream | undefined;
      let recorder: Recorder | undefined;
      let status = 0;
      for (const step of steps) {
        if (step.from === 'server') {
          await replayed.say(step);
        } else if (step.type === 'HEADERS') {
          const head = { method: 'CONNECT', scheme: undefined, path: undefined, authority: 'a:1' };
          stream = session.request(
            { ...head, fields: withoutPseudo(step.fields ?? []) },
            {
              onResponse: (answer) => {
                status = answer.status;
              },
              onNoResponse: () => assert.fail('there was an answer'),
            },
          );
          recorder = Recorder.on(stream);
        } else if (step.type === 'DATA') {
          write(stream, step);
        }
        await settled(1);
        replayed.checkOurs();
      }
      await settled();
      assert.equal(status, 200);
      assertWhole({ peer, recorder }, steps, 'server');
      assert.deepEqual([counters.protocolErrors, counters.streamErrors], [0, 0]);
    });

    it('by HboneServer, over TLS', async () => {
      const served = Promise.withResolvers<ByteConn>();
      await using rig = await TunnelRig.start({
        server: SERVER,
        client: CLIENT,
        clock: new FakeClock(),
        onConnect: () => ({ status: 200, serve: served.resolve }),
      });
      const peer = await FramePeer.connect(rig.port, CLIENT);
      const replayed = new Replayed(peer);
      let recorder: Recorder | undefined;
      peer.send(PREFACE);
      for (const step of steps) {
        if (step.from === 'client') {
          await replayed.say(step);
        } else if (step.type === 'HEADERS') {
          recorder = Recorder.on(await served.promise);
        } else if (step.type === 'DATA') {
          write(await served.promise, step);
        }
        await settled(1);
        replayed.checkOurs();
      }
      await untilWhole({ peer, recorder }, steps, 'client');
      peer.destroy();
    });

    it('by HbonePool, over TLS', async () => {
      await using server = await FrameServer.start(SERVER);
      const pool = new HbonePool({
        clock: new FakeClock(),
        identity: () => CLIENT,
        dial: async () => await server.dial(),
      });
      const call = pool.connect(
        {
          sourceIdentity: CLIENT.identity,
          expectedIdentities: [SERVER.identity],
          address: '10.91.0.2',
          port: 15008,
          sourcePod: 'pod',
        },
        { authority: '10.91.0.2:80' },
      );
      const peer = await server.peer();
      const replayed = new Replayed(peer);
      let recorder: Recorder | undefined;
      for (const step of steps) {
        if (step.from === 'server') {
          await replayed.say(step);
          recorder ??= step.type === 'HEADERS' ? Recorder.on((await call).conn) : undefined;
        } else if (step.type === 'DATA') {
          write((await call).conn, step);
        }
        await settled(1);
        replayed.checkOurs();
      }
      await untilWhole({ peer, recorder }, steps, 'server');
      pool.destroy();
    });
  });
}
