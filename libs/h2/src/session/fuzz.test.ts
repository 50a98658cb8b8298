/** Whatever a peer sends: a session does not throw, ends by its own errors only, and holds a bounded amount. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MeshError } from '@ambit/core';
import fc from 'fast-check';
import { echo } from '../testing/echo-server.ts';
import { frame } from '../testing/frames.ts';
import {
  data,
  get,
  goaway,
  headers,
  ping,
  post,
  reset,
  SETTINGS_ACK,
  settings,
  settled,
  windowUpdate,
} from '../testing/raw-peer.ts';
import { clientRig, serverRig } from '../testing/sessions.ts';

const streamId = fc.constantFrom(0, 1, 2, 3, 5, 7, 9, 2 ** 31 - 1);
const number = fc.constantFrom(0, 1, 5, 65_535, 2 ** 31 - 1, 2 ** 32 - 1);
const bytes = fc.uint8Array({ maxLength: 60 });
const flags = fc.constantFrom(0, 1, 4, 5, 8, 9, 0x20, 0x2d, 0xff);

/** Mostly frames in good form, so that the states behind them are reached. */
const anyFrame = fc.oneof(
  fc.tuple(streamId, flags).map(([id, flag]) => headers(id, [':status', '200'], flag & 1)),
  streamId.map((id) => get(id)),
  streamId.map((id) => post(id)),
  fc.tuple(streamId, bytes, flags).map(([id, payload, flag]) => data(id, payload, flag & 9)),
  fc.tuple(streamId, number).map(([id, code]) => reset(id, code)),
  fc.tuple(streamId, number).map(([id, increment]) => windowUpdate(id, increment)),
  fc.array(fc.tuple(fc.nat(8), number), { maxLength: 4 }).map((entries) => settings(...entries)),
  fc.constant(ping()),
  fc.constant(SETTINGS_ACK),
  fc.tuple(streamId, number).map(([id, code]) => goaway(id, code)),
  fc
    .tuple(fc.nat(12), streamId, bytes, flags)
    .map(([type, id, payload, flag]) => frame(type, id, payload, flag)),
  bytes.map((raw) => Buffer.from(raw)),
);
const conversation = fc.array(anyFrame, { maxLength: 25 });

/** What was reported is ours, once, and nothing is left. */
function check(
  closed: readonly (Error | undefined)[],
  openStreams: number,
  callbackErrors: number,
): void {
  assert.ok(closed.length <= 1, 'closed once');
  const [error] = closed;
  assert.ok(error === undefined || error instanceof MeshError, String(error));
  assert.equal(callbackErrors, 0);
  if (closed.length === 1) {
    assert.equal(openStreams, 0);
  }
}

describe('any bytes', () => {
  it('to a server', async () => {
    await fc.assert(
      fc.asyncProperty(conversation, fc.boolean(), async (frames, reads) => {
        const rig = serverRig({
          onStream: (stream) => {
            if (reads) {
              echo(stream);
            }
          },
        });
        rig.peer.greetAsClient();
        rig.peer.send(...frames);
        await settled(4);
        check(rig.closed, rig.session.openStreams, rig.counters.callbackErrors);
        rig.session.destroy();
        await settled(2);
        assert.deepEqual([rig.closed.length, rig.session.openStreams], [1, 0]);
      }),
      { numRuns: 400 },
    );
  });

  it('to a client', async () => {
    await fc.assert(
      fc.asyncProperty(conversation, async (frames) => {
        const rig = clientRig();
        const heard: string[] = [];
        for (let n = 0; n < 3; n += 1) {
          const stream = rig.session.request(
            { method: 'POST', scheme: 'http', authority: 'a', path: '/', fields: [] },
            {
              onResponse: () => void heard.push('response'),
              onNoResponse: () => void heard.push('none'),
            },
          );
          stream.start({
            onData: (chunk) => void stream.write(chunk),
            onEnd: () => stream.end(),
            onDrain: () => undefined,
            onClose: () => void heard.push('close'),
          });
        }
        rig.peer.greetAsServer();
        rig.peer.send(...frames);
        await settled(4);
        check(rig.closed, rig.session.openStreams, rig.counters.callbackErrors);
        rig.session.destroy();
        await settled(2);
        const count = (event: string): number => heard.filter((one) => one === event).length;
        assert.deepEqual([count('close'), count('response') + count('none')], [3, 3]);
      }),
      { numRuns: 400 },
    );
  });
});
