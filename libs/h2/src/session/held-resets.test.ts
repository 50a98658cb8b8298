/** A client that resets streams later than whoever uses them asks for it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { connPair, Recorder } from '@ambit/proxy/testing';
import { ERROR, FLAG, WINDOW_BYTES_DEFAULT } from '../frames/protocol.ts';
import type { RequestHead } from '../message.ts';
import { data, headers, ping, RawPeer, reset, windowUpdate } from '../testing/raw-peer.ts';
import { ClientSession } from './client-session.ts';
import { newH2Counters } from './counters.ts';
import { MESH_LIMITS } from './limits.ts';

const TUNNEL: RequestHead = {
  method: 'CONNECT',
  scheme: undefined,
  path: undefined,
  authority: 'b:1',
  fields: [],
};
const CHUNK = Buffer.alloc(16_384);
const CHUNKS = Math.floor(WINDOW_BYTES_DEFAULT / CHUNK.length);

/** A tunnel that was answered, and whose reset is held. */
async function held() {
  const [ours, theirs] = connPair();
  const counters = newH2Counters();
  const session = new ClientSession({
    transport: ours,
    clock: new FakeClock(),
    limits: MESH_LIMITS,
    counters,
    holdsReset: () => true,
  });
  const peer = new RawPeer(theirs, 'server');
  peer.greetAsServer();
  const sink = { onResponse: () => undefined, onNoResponse: () => undefined };
  const stream = session.request(TUNNEL, sink);
  const reader = Recorder.on(stream);
  peer.send(headers(1, [':status', '200']), data(1, 'seen'));
  await peer.answers();
  let closed = 0;
  stream.whenClosed(() => {
    closed += 1;
  });
  stream.destroy();
  return { session, peer, stream, reader, counters, closed: () => closed };
}

describe('a reset that is held', () => {
  it('is over for whoever uses the stream, and not said to the peer', async () => {
    const { session, peer, stream, reader, closed } = await held();
    await reader.closed;
    assert.equal(stream.write(Buffer.from('late')), true);
    stream.destroy();
    assert.deepEqual(await peer.answers(), []);
    assert.deepEqual([stream.isClosed, closed(), session.openStreams], [true, 1, 1]);
  });

  it('drops what comes and keeps its window closed, and nobody else’s', async () => {
    const { session, peer, reader, counters } = await held();
    await reader.closed;
    const before = reader.bytes;
    peer.send(...Array.from({ length: CHUNKS }, () => data(1, CHUNK)), ping());
    assert.deepEqual(
      (await peer.answers()).filter((frame) => !frame.startsWith('WINDOW_UPDATE 0')),
      ['PING ack abcdefgh'],
    );
    peer.send(windowUpdate(1, 1), data(1, '', FLAG.END_STREAM), ping());
    assert.deepEqual(await peer.answers(), ['PING ack abcdefgh']);
    assert.deepEqual([reader.bytes, session.openStreams], [before, 1]);
    assert.deepEqual([counters.streamErrors, counters.protocolErrors], [0, 0]);
  });

  it('is said when it is time, once', async () => {
    const { session, peer, stream } = await held();
    session.resetHeld(stream, ERROR.CANCEL);
    session.resetHeld(stream, ERROR.CANCEL);
    assert.deepEqual(await peer.answers(), ['RST_STREAM 1 CANCEL']);
    assert.equal(session.openStreams, 0);
    // It was on its way.
    peer.send(data(1, 'late'), ping());
    assert.deepEqual(await peer.answers(), ['PING ack abcdefgh']);
  });

  it('is needless where the peer resets the stream, and said by us where it exceeds the window', async () => {
    for (const frames of [
      [reset(1)],
      [...Array.from({ length: CHUNKS + 1 }, () => data(1, CHUNK))],
    ]) {
      const { session, peer, stream, closed } = await held();
      peer.send(...frames);
      const said = (await peer.answers()).filter((frame) => frame.startsWith('RST'));
      assert.deepEqual(said, frames.length === 1 ? [] : ['RST_STREAM 1 FLOW_CONTROL_ERROR']);
      session.resetHeld(stream, ERROR.CANCEL);
      assert.deepEqual(await peer.answers(), []);
      assert.deepEqual([session.openStreams, closed()], [0, 1]);
    }
  });

  it('keeps a session that drains until it is said, and none that ends', async () => {
    const draining = await held();
    draining.session.drain();
    assert.deepEqual(await draining.peer.answers(), []);
    draining.session.resetHeld(draining.stream, ERROR.CANCEL);
    assert.deepEqual(await draining.peer.answers(), ['RST_STREAM 1 CANCEL', 'GOAWAY 0 NO_ERROR']);
    const ending = await held();
    ending.session.end();
    ending.session.resetHeld(ending.stream, ERROR.CANCEL);
    const said = await ending.peer.answers();
    assert.deepEqual([said.length, said[0]?.startsWith('GOAWAY 0')], [1, true]);
  });
});
