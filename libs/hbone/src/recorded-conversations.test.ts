/**
 * Replays what two agents of the reference said to each other: one side's bytes go to a session of ours, and ours does what the
 * other side did. It must hear what was said, and say the same: answers, bytes and ends, per stream and in their order.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ClientStream, RequestHead, ResponseHead, ServerStream } from '@ambit/h2';
import { clientRig, ping, type RawPeer, serverRig, settled } from '@ambit/h2/testing';
import { Recorder } from '@ambit/proxy/testing';

import {
  bytesOf,
  CONVERSATIONS,
  endsStream,
  fieldOf,
  isAck,
  PREFACE,
  payloadOf,
  type Step,
  sentOn,
  speak,
  withoutPseudo,
} from './testing/index.ts';

const PING_ACK = 1;

/** What was said about the streams, in words. */
function told(steps: readonly Step[], from: string): string[] {
  return steps
    .filter((step) => step.from === from && ['HEADERS', 'DATA', 'RST_STREAM'].includes(step.type))
    .map((step) => {
      const { type, stream } = step;
      const end = endsStream(step) ? ' end' : '';
      return type === 'DATA'
        ? `DATA ${stream} ${payloadOf(step).length}${end}`
        : `${type} ${stream}${end}`;
    });
}

/** The same of what a session of ours says; header fields and error codes have tests of their own. */
function heard(frames: readonly string[]): string[] {
  return frames
    .filter((frame) => /^(?:HEADERS|DATA|RST_STREAM) /.test(frame))
    .map((frame) => {
      const [type, stream] = frame.split(' ');
      const end = frame.endsWith(' end') ? ' end' : '';
      return type === 'DATA' ? frame : `${type} ${stream}${end}`;
    });
}

async function replay(
  steps: readonly Step[],
  options: {
    readonly peer: RawPeer;
    readonly theirs: string;
    readonly say: (step: Step) => void;
    readonly adapt?: (step: Step) => Buffer;
  },
): Promise<void> {
  const { peer, theirs, say, adapt = bytesOf } = options;
  for (const step of steps) {
    if (step.from === theirs) {
      peer.send(adapt(step));
    } else {
      say(step);
    }
    await settled();
  }
}

function assertHeard(
  recorders: ReadonlyMap<number, Recorder>,
  steps: readonly Step[],
  theirs: string,
): void {
  for (const [id, { text, events }] of recorders) {
    const sent = sentOn(steps, theirs, id);
    assert.equal(text, sent.text, `stream ${id}`);
    assert.equal(events.includes('end'), sent.hasEnded, `stream ${id}`);
  }
}

for (const { name, description, steps } of CONVERSATIONS) {
  describe(`${name}: ${description}`, () => {
    it('is heard and said by a server of ours', async () => {
      const { peer, session, streams, counters } = serverRig();
      const recorders = new Map<number, Recorder>();
      const requests = new Map<number, RequestHead>();
      const streamOf = (id: number): ServerStream => {
        const found = streams.find((stream) => stream.id === id);
        assert.ok(found !== undefined, `stream ${id}`);
        return found;
      };
      peer.send(PREFACE);
      await replay(steps, {
        peer,
        theirs: 'client',
        // The payload of the PING that goes with a GOAWAY is everybody's own.
        adapt: (step) =>
          step.type === 'PING' && isAck(step) ? ping('ambitend', PING_ACK) : bytesOf(step),
        say: (step) => {
          if (step.type === 'HEADERS') {
            const stream = streamOf(step.stream);
            requests.set(step.stream, stream.request);
            const status = Number(fieldOf(step, ':status'));
            const fields = withoutPseudo(step.fields ?? []);
            stream.respond({ status, fields }, { end: endsStream(step) });
            recorders.set(step.stream, Recorder.on(stream));
            if (endsStream(step)) {
              stream.endEarly();
            }
          } else if (step.type === 'DATA') {
            speak(streamOf(step.stream), step);
          } else if (step.type === 'GOAWAY') {
            session.drain();
          }
        },
      });
      for (const step of steps.filter(
        ({ from, type }) => from === 'client' && type === 'HEADERS',
      )) {
        const request = requests.get(step.stream) ?? streamOf(step.stream).request;
        assert.equal(request.authority, fieldOf(step, ':authority'));
        assert.deepEqual(request.fields, withoutPseudo(step.fields ?? []));
      }
      assert.deepEqual(heard(peer.frames), told(steps, 'server'));
      assertHeard(recorders, steps, 'client');
      assert.deepEqual([counters.protocolErrors, counters.streamErrors], [0, 0]);
    });

    it('is heard and said by a client of ours', async () => {
      const { peer, session, counters } = clientRig();
      const open = new Map<number, ClientStream>();
      const recorders = new Map<number, Recorder>();
      const answers = new Map<number, ResponseHead>();
      await replay(steps, {
        peer,
        theirs: 'server',
        say: (step) => {
          if (step.type === 'HEADERS') {
            const authority = fieldOf(step, ':authority');
            const fields = withoutPseudo(step.fields ?? []);
            const head = { method: 'CONNECT', scheme: undefined, path: undefined };
            const stream = session.request(
              { ...head, authority, fields },
              {
                onResponse: (answer) => answers.set(step.stream, answer),
                onNoResponse: () => assert.fail('there was an answer'),
              },
            );
            open.set(stream.id, stream);
            recorders.set(stream.id, Recorder.on(stream));
          } else if (step.type === 'DATA') {
            const stream = open.get(step.stream);
            assert.ok(stream !== undefined);
            speak(stream, step);
          }
        },
      });
      for (const step of steps.filter(
        ({ from, type }) => from === 'server' && type === 'HEADERS',
      )) {
        const answer = answers.get(step.stream);
        assert.equal(answer?.status, Number(fieldOf(step, ':status')));
        assert.deepEqual(answer?.fields, withoutPseudo(step.fields ?? []));
      }
      assert.deepEqual(heard(peer.frames), told(steps, 'client'));
      assertHeard(recorders, steps, 'server');
      assert.deepEqual([counters.protocolErrors, counters.streamErrors], [0, 0]);
    });
  });
}
