/**
 * Replays recorded peers whose tunnels end by more than an answer: by their identity, by a bound, by silence, by policy.
 *
 * All of them were clients, driven by hand against the reference's server, so there is no side of a server to replay at a client
 * of ours; what a client does in their place is tested where it decides that (`pool.test.ts`: no stream beyond 100 of a session,
 * a peer that answers no PING, a refusal with 401; `peer-certificates.test.ts`: a server of another trust domain).
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MeshError } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import type { ByteConn } from '@ambit/proxy';
import { TestCa } from '@ambit/testkit';

import recordings from './fixtures/recorded-endings.json' with { type: 'json' };
import type { ConnectAnswer } from './server-session.ts';
import { type RawFrame, RawPeer, TunnelRig } from './testing/index.ts';

const CA = new TestCa();
const SERVER = CA.workload('default', 'server');
const CLIENT = CA.workload('default', 'client');
const ACK = 1;
const CANCEL = 8;
const REFUSED_STREAM = 7;

interface Recording {
  readonly title: string;
  readonly said: readonly { readonly type: string; readonly bytes: Buffer }[];
}

function recording(number: string): Recording {
  const found = recordings.find(({ name }) => name.startsWith(`${number}-`));
  assert.ok(found !== undefined);
  const said = found.said.map(({ type, bytes }) => ({ type, bytes: Buffer.from(bytes, 'base64') }));
  return { title: `${found.name}: ${found.description}`, said };
}

function echo(conn: ByteConn): void {
  conn.start({
    onData: (chunk) => void conn.write(chunk),
    onEnd: () => conn.end(),
    onDrain: () => undefined,
    onClose: () => undefined,
  });
}

const ECHO: ConnectAnswer = { status: 200, serve: echo };
const isReset = (stream: number) => (frame: RawFrame) =>
  frame.type === 'RST_STREAM' && frame.stream === stream;
const isAnswer = (stream: number) => (frame: RawFrame) =>
  frame.type === 'HEADERS' && frame.stream === stream;

describe('HboneServer and recorded peers that are ended', () => {
  const trust = recording('35');
  it(trust.title, async () => {
    let asked = 0;
    await using rig = await TunnelRig.start({
      server: SERVER,
      client: CA.issue('spiffe://other.local/ns/default/sa/client'),
      onConnect: () => {
        asked += 1;
        return ECHO;
      },
    });
    const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
    peer.send(...trust.said.map(({ bytes }) => bytes));
    await peer.closed;
    assert.ok(!peer.frames.some(({ type }) => type === 'HEADERS'));
    assert.equal(asked, 0);
    assert.equal(rig.rejected.length, 1);
  });

  const bound = recording('38');
  it(bound.title, async () => {
    await using rig = await TunnelRig.start({
      server: SERVER,
      client: CLIENT,
      onConnect: () => ECHO,
    });
    const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
    peer.send(...bound.said.map(({ bytes }) => bytes));
    const reset = await peer.next(({ type }) => type === 'RST_STREAM');
    assert.deepEqual([reset?.stream, reset?.payload.readUInt32BE(0)], [401, REFUSED_STREAM]);
    await peer.next(() => peer.frames.filter(({ type }) => type === 'HEADERS').length === 200);
    const answered = peer.frames.filter(({ type }) => type === 'HEADERS').map((f) => f.stream);
    assert.deepEqual(
      [...new Set(answered)].sort((a, b) => a - b),
      Array.from({ length: 200 }, (_, at) => at * 2 + 1),
    );
    peer.destroy();
  });

  const silence = recording('40');
  it(silence.title, async () => {
    const clock = new FakeClock();
    await using rig = await TunnelRig.start({
      server: SERVER,
      client: CLIENT,
      clock,
      onConnect: () => ECHO,
    });
    const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
    peer.send(...silence.said.map(({ bytes }) => bytes));
    assert.ok(await peer.next(isAnswer(1)));
    clock.advance(10_000);
    const ping = await peer.next(({ type, flags }) => type === 'PING' && flags === 0);
    assert.equal(ping?.payload.toString('hex'), '3b7cdb7a0b8716b4', 'as the reference asks');
    assert.equal(rig.server.live, 1);
    clock.advance(20_000);
    await peer.closed;
    assert.equal(rig.server.live, 0);
  });

  const change = recording('41');
  it(change.title, async () => {
    let isAllowed = true;
    let open: ByteConn | undefined;
    await using rig = await TunnelRig.start({
      server: SERVER,
      client: CLIENT,
      onConnect: () => {
        if (!isAllowed) {
          return { status: 401, reason: 'denied' };
        }
        return {
          status: 200,
          serve: (conn) => {
            open = conn;
            echo(conn);
          },
        };
      },
    });
    const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
    const dataOf = (): string =>
      Buffer.concat(
        peer.frames.filter(({ type }) => type === 'DATA').map(({ payload }) => payload),
      ).toString();
    const isEchoed = (text: string) => () => dataOf() === text;
    const next = (count: number): Buffer[] => {
      const part = said.slice(at, at + count);
      at += count;
      return part.map(({ bytes }) => bytes);
    };
    const { said } = change;
    let at = 0;
    // Preface, SETTINGS, CONNECT, the acknowledgement; then "one" and "two".
    peer.send(...next(4));
    assert.ok(await peer.next(isAnswer(1)));
    peer.send(...next(1));
    assert.ok(await peer.next(isEchoed('one')));
    peer.send(...next(1));
    assert.ok(await peer.next(isEchoed('onetwo')));
    isAllowed = false;
    open?.destroy(
      new MeshError('DENIED', 'connection closed due to policy change', { side: 'local' }),
    );
    const cut = await peer.next(isReset(1));
    assert.equal(cut?.payload.readUInt32BE(0), CANCEL);
    // The answer to a PING that ours did not send, DATA behind the reset, and another CONNECT.
    peer.send(...next(3));
    const answer = await peer.next(isAnswer(3));
    assert.equal(at, said.length);
    assert.equal((answer?.flags ?? 0) & ACK, ACK, 'the answer ends its stream');
    assert.equal(dataOf(), 'onetwo', 'nothing of what came after the cut went anywhere');
    // The reference resets the stream again, with STREAM_CLOSED; RFC 9113 §5.1 lets who has reset it ignore what was under way.
    assert.equal(peer.frames.filter(isReset(1)).length, 1);
    peer.destroy();
  });
});
