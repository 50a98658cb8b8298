/** How sessions end in order, and what happens to streams on the way. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MeshError } from '@ambit/core';
import { Recorder } from '@ambit/proxy/testing';
import { FLAG } from '../frames/protocol.ts';
import { data, get, goaway, ping, post, settled } from '../testing/raw-peer.ts';
import { clientRig, pairRig, serverRig } from '../testing/sessions.ts';

const { END_STREAM, ACK } = FLAG;
const DRAIN_PING = 'ambitend';

describe('ServerSession.drain', () => {
  it('says GOAWAY for all, and for the last one when the peer has seen that', async () => {
    const { peer, session, streams, closed } = serverRig();
    peer.greetAsClient();
    peer.send(post(1));
    await peer.answers();
    session.drain();
    session.drain();
    assert.deepEqual(await peer.answers(), ['GOAWAY 2147483647 NO_ERROR', `PING ${DRAIN_PING}`]);
    // On its way when the peer had not seen the GOAWAY.
    peer.send(get(3), ping(DRAIN_PING, ACK), get(5));
    assert.deepEqual(await peer.answers(), ['GOAWAY 3 NO_ERROR']);
    assert.equal(streams.length, 2);
    for (const stream of streams) {
      stream.respond({ status: 200, fields: [] }, { end: true });
    }
    await peer.answers();
    assert.deepEqual([closed.length, session.openStreams, session.isDraining], [0, 1, true]);
    peer.send(data(1, 'rest', END_STREAM));
    await peer.answers();
    assert.deepEqual([peer.isEnded, closed], [true, [undefined]]);
  });

  it('does not wait longer than a second for the answer', async () => {
    const { peer, session, clock, closed } = serverRig();
    peer.greetAsClient();
    await peer.answers();
    session.drain();
    await peer.answers();
    clock.advance(1_000);
    assert.deepEqual(await peer.answers(), ['GOAWAY 0 NO_ERROR']);
    assert.deepEqual(closed, [undefined]);
  });
});

describe('sessions', () => {
  it('open nothing after their last word', async () => {
    const { peer, streams, clock } = serverRig();
    peer.onEnd = () => undefined;
    peer.greetAsClient();
    peer.send(goaway(0));
    assert.equal((await peer.answers()).at(-1), 'GOAWAY 0 NO_ERROR');
    peer.send(get(1));
    assert.deepEqual(await peer.answers(), []);
    assert.equal(streams.length, 0);
    clock.advance(2_000);
    await settled();
  });

  it('say that the peer went before it had said anything', async () => {
    const { peer, closed } = serverRig();
    peer.destroy();
    await settled();
    assert.equal(closed[0]?.code, 'PROXY_PEER_GONE');
  });

  it('of ours drain each other without losing a stream', async () => {
    const { server, client, streams, closed } = pairRig({
      onStream: (stream) => {
        stream.respond({ status: 200, fields: [] });
        stream.end();
      },
    });
    const heard: string[] = [];
    const ask = (): void => {
      client.request(
        { method: 'GET', scheme: 'http', authority: 'a', path: '/', fields: [] },
        {
          onResponse: ({ status }) => heard.push(String(status)),
          onNoResponse: () => heard.push('none'),
        },
        { endStream: true },
      );
    };
    ask();
    await settled();
    server.drain();
    ask();
    await settled(40);
    assert.deepEqual([heard, streams.length], [['200', '200'], 2]);
    assert.deepEqual([client.isDraining, client.room, closed], [true, 0, [undefined, undefined]]);
  });

  it('destroy everything at once, with the reason', async () => {
    const { server, client, streams, closed } = pairRig();
    const reason = new MeshError('TEST', 'over', { side: 'local' });
    const [near, far] = [new Recorder(), new Recorder()];
    const stream = client.request(
      { method: 'CONNECT', scheme: undefined, authority: 'a:1', path: undefined, fields: [] },
      { onResponse: () => undefined, onNoResponse: () => undefined },
    );
    stream.start(near);
    await settled();
    streams[0]?.respond({ status: 200, fields: [] });
    streams[0]?.start(far);
    await settled();
    client.destroy(reason);
    client.destroy();
    await settled();
    assert.equal(await near.closed, reason);
    const error = await far.closed;
    assert.ok(error instanceof MeshError && error.code === 'PROXY_PEER_GONE');
    assert.equal(closed.length, 2);
    assert.ok(closed.includes(reason));
    assert.deepEqual([server.openStreams, client.openStreams], [0, 0]);
  });

  it('tell once when a stream is over, whoever reads it', async () => {
    const { peer, streams } = serverRig();
    peer.greetAsClient();
    peer.send(post(1), post(3));
    await peer.answers();
    const over: string[] = [];
    for (const stream of streams) {
      stream.whenClosed((error) => over.push(`${stream.id} ${error?.message ?? 'in order'}`));
    }
    streams[0]?.respond({ status: 200, fields: [] }, { end: true });
    peer.send(data(1, 'abc', END_STREAM));
    await peer.answers();
    peer.destroy();
    await settled();
    assert.deepEqual(over, ['1 in order', '3 the peer closed the connection']);
    streams[0]?.whenClosed(() => over.push('late'));
    assert.equal(over.at(-1), 'late');
  });
});

describe('ClientSession.probe', () => {
  for (const [title, isAnswered, expected] of [
    ['hears from a peer that answers', true, [true]],
    ['is told after its time about one that does not', false, [false]],
  ] as const) {
    it(title, async () => {
      const { peer, session, clock } = clientRig();
      const heard: boolean[] = [];
      peer.greetAsServer();
      await peer.answers();
      session.probe(2_000, (isThere) => heard.push(isThere));
      session.probe(2_000, () => assert.fail('one is under way'));
      assert.deepEqual(await peer.answers(), ['PING ambitask']);
      if (isAnswered) {
        peer.send(ping('ambitask', ACK));
      }
      await settled();
      clock.advance(2_000);
      await settled();
      assert.deepEqual(heard, expected);
      session.probe(2_000, () => undefined);
      assert.deepEqual(await peer.answers(), ['PING ambitask']);
    });
  }

  it('says nothing of a session that has ended', async () => {
    const { peer, session, clock } = clientRig();
    peer.greetAsServer();
    await peer.answers();
    session.probe(2_000, () => assert.fail('it has ended'));
    session.destroy();
    session.probe(2_000, () => assert.fail('it has ended'));
    clock.advance(2_000);
    await settled();
  });
});
