/** Hostile and broken peers against the server: each has a bound, an answer and a counter. */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';

import { MeshError } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import type { ByteConn } from '@ambit/proxy';
import { TestCa } from '@ambit/testkit';

import type { ConnectAnswer } from './server-session.ts';
import {
  connectHeaders,
  END_HEADERS,
  frame,
  RawPeer,
  type RigOptions,
  TunnelRig,
} from './testing/index.ts';
import { tlsContextOptions } from './tls.ts';

const CA = new TestCa();
const NEVER = async (): Promise<ConnectAnswer> => await new Promise(() => undefined);
const CANCEL = Buffer.from([0, 0, 0, 8]);
const REFUSED_STREAM = 7;
const GOAWAY_ANY = 2 ** 31 - 1;

async function start(options: Partial<RigOptions> = {}): Promise<TunnelRig> {
  return await TunnelRig.start({
    server: CA.workload('shop', 'server'),
    client: CA.workload('shop', 'client'),
    onConnect: NEVER,
    ...options,
  });
}

function connectFrame(stream: number, extra: Readonly<Record<string, string>> = {}): Buffer {
  return frame('HEADERS', stream, connectHeaders('10.0.0.1:80', extra), END_HEADERS);
}

describe('HboneServer limits', () => {
  it('ends a session that resets unanswered streams, after a bounded number of starts', async () => {
    let starts = 0;
    await using rig = await start({
      onConnect: async () => {
        starts += 1;
        return await NEVER();
      },
    });
    const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
    peer.greet();
    for (let i = 0; i < 2_000; i += 1) {
      peer.send(connectFrame(2 * i + 1), frame('RST_STREAM', 2 * i + 1, CANCEL));
    }
    await peer.closed;
    assert.equal(rig.floods, 1);
    assert.ok(starts <= 400, `${starts} streams reached the handler`);
  });

  for (const [name, flood] of [
    ['PING', frame('PING', 0, Buffer.alloc(8))],
    ['SETTINGS', frame('SETTINGS', 0, Buffer.from([0, 4, 0, 1, 0, 0]))],
    ['empty DATA on no stream', frame('DATA', 1)],
    ['PRIORITY', frame('PRIORITY', 1, Buffer.from([0, 0, 0, 3, 1]))],
  ] as const) {
    it(`ends a session that floods ${name}`, async () => {
      await using rig = await start();
      const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
      peer.greet();
      const many = Buffer.concat(Array.from({ length: 2_000 }, () => flood));
      for (let i = 0; i < 50; i += 1) {
        peer.send(many);
      }
      await peer.closed;
      assert.equal(rig.floods + rig.server.counters.h2.protocolErrors, 1);
    });
  }

  it('serves nobody whose address is not known', async () => {
    await using rig = await start({ onConnect: () => assert.fail() });
    rig.server.accept(new Socket());
    assert.equal(rig.server.counters.withoutAddress, 1);
    assert.equal(rig.server.live, 0);
  });

  it('serves nobody whose address is lost in the handshake', async () => {
    let asked = 0;
    await using rig = await start({
      onConnect: () => {
        asked += 1;
        return { status: 403, reason: 'heard' };
      },
    });
    const connecting = RawPeer.connect(rig.port, rig.clientIdentity);
    while (rig.sockets.length === 0) await new Promise(setImmediate);
    // What a socket answers whose peer has reset it.
    const handle = Reflect.get(rig.sockets[0] as Socket, '_handle') as object;
    Reflect.set(handle, 'getpeername', () => constants.errno.ENOTCONN * -1);
    const peer = await connecting;
    peer.greet();
    peer.send(connectFrame(1));
    await peer.next(({ type, stream }) => type === 'HEADERS' && stream === 1);
    assert.ok(peer.isClosed, 'nothing is answered');
    assert.equal(asked, 0);
    assert.equal(rig.server.counters.withoutAddress, 1);
    while (rig.server.live > 0) await new Promise(setImmediate);
  });

  it('ends a session that never ends its headers', async () => {
    await using rig = await start();
    const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
    peer.greet();
    peer.send(frame('HEADERS', 1, connectHeaders('10.0.0.1:80')));
    const more = frame('CONTINUATION', 1, connectHeaders('x', { a: 'b' }));
    peer.send(Buffer.concat(Array.from({ length: 20_000 }, () => more)));
    await peer.closed;
    assert.equal(rig.floods, 1);
  });

  it('refuses a CONNECT with more headers than one has, and answers the next', async () => {
    await using rig = await start({ onConnect: () => ({ status: 401, reason: '' }) });
    const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
    peer.greet();
    const extra = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`h${i}`, 'v']));
    peer.send(connectFrame(1, extra));
    const refused = await peer.next(({ type, stream }) => type === 'RST_STREAM' && stream === 1);
    assert.equal(refused?.type, 'RST_STREAM');
    assert.equal(rig.server.counters.h2.oversizeHeaders, 1);
    peer.send(connectFrame(3));
    assert.ok(await peer.next(({ type, stream }) => type === 'HEADERS' && stream === 3));
    peer.destroy();
  });

  it('takes 200 streams of a session, refuses one more, and goes on', async () => {
    let starts = 0;
    await using rig = await start({
      onConnect: async () => {
        starts += 1;
        return await NEVER();
      },
    });
    const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
    peer.greet();
    for (let i = 0; i <= 200; i += 1) {
      peer.send(connectFrame(2 * i + 1));
    }
    const refused = await peer.next(({ type }) => type === 'RST_STREAM');
    assert.deepEqual([refused?.stream, refused?.payload.readUInt32BE(0)], [401, REFUSED_STREAM]);
    peer.send(frame('RST_STREAM', 1, CANCEL), connectFrame(403));
    peer.send(frame('PING', 0, Buffer.from('12345678')));
    assert.ok(await peer.next(({ type, flags }) => type === 'PING' && flags === 1));
    assert.deepEqual([starts, rig.server.counters.h2.refusedStreams], [201, 1]);
    peer.destroy();
  });

  it('ends connections beyond its sessions, and counts them', async () => {
    await using rig = await start({ serverLimits: { sessionsMax: 1 } });
    const first = await RawPeer.connect(rig.port, rig.clientIdentity);
    first.greet();
    await first.next(({ type }) => type === 'SETTINGS');
    const second = await RawPeer.connect(rig.port, rig.clientIdentity);
    await second.closed;
    assert.deepEqual(
      second.frames.map(({ type }) => type),
      ['SETTINGS'],
    );
    assert.equal(rig.server.counters.refusedAtBound, 1);
    first.destroy();
    await first.closed;
  });

  it('ends a connection that does not finish its handshake', async () => {
    await using rig = await start({ serverLimits: { handshakeTimeoutMs: 20 } });
    await rig.dial();
    await new Promise<void>((resolve) => rig.sockets[0]?.once('close', () => resolve()));
    assert.equal(rig.server.counters.handshakeFailures, 1);
    assert.equal(rig.server.live, 0);
  });

  it('ends a session that sends no SETTINGS', async () => {
    const clock = new FakeClock();
    await using rig = await start({ clock });
    const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
    await peer.next(({ type }) => type === 'SETTINGS');
    clock.advance(5_000);
    await peer.closed;
    assert.equal(rig.server.counters.prefaceTimeouts, 1);
  });

  it('ends a session without streams gracefully', async () => {
    const clock = new FakeClock();
    await using rig = await start({ clock, serverLimits: { idleTimeoutMs: 5_000 } });
    const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
    peer.greet();
    await peer.next(({ type, flags }) => type === 'SETTINGS' && flags === 1);
    clock.advance(5_000);
    assert.ok(await peer.next(({ type }) => type === 'GOAWAY'));
    assert.equal(rig.server.counters.idleTimeouts, 1);
    peer.destroy();
  });

  it('ends a session that answers no PING', async () => {
    const clock = new FakeClock();
    await using rig = await start({ clock });
    const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
    peer.greet();
    await peer.next(({ type, flags }) => type === 'SETTINGS' && flags === 1);
    clock.advance(10_000);
    const ping = await peer.next(({ type, flags }) => type === 'PING' && flags === 0);
    assert.equal(ping?.payload.toString('hex'), '3b7cdb7a0b8716b4');
    clock.advance(20_000);
    await peer.closed;
  });

  // The reference's, but for windows, which begin as RFC 9113 says and grow, and for frames, which fill a record of TLS.
  it('announces 200 streams, 64 KiB of headers and a window of 16 MiB for all streams', async () => {
    await using rig = await start();
    const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
    peer.greet();
    const settings = await peer.next(({ type, flags }) => type === 'SETTINGS' && flags === 0);
    const found: (readonly [number, number])[] = [];
    for (let at = 0; at < (settings?.payload.length ?? 0); at += 6) {
      found.push([
        settings?.payload.readUInt16BE(at) ?? 0,
        settings?.payload.readUInt32BE(at + 2) ?? 0,
      ]);
    }
    assert.deepEqual(found, [
      [3, 200],
      [6, 65_536],
    ]);
    const window = await peer.next(({ type, stream }) => type === 'WINDOW_UPDATE' && stream === 0);
    assert.equal(window?.payload.readUInt32BE(0), 16_711_681);
    peer.destroy();
  });

  it('drains with two GOAWAYs around a PING', async () => {
    const served = Promise.withResolvers<ByteConn>();
    await using rig = await start({
      onConnect: () => ({ status: 200, serve: served.resolve }),
    });
    const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
    peer.greet();
    peer.send(connectFrame(1));
    const conn = await served.promise;
    const drained = rig.server.drain();
    const first = await peer.next(({ type }) => type === 'GOAWAY');
    assert.equal(first?.payload.readUInt32BE(0), GOAWAY_ANY);
    const ping = await peer.next(({ type, flags }) => type === 'PING' && flags === 0);
    peer.send(frame('PING', 0, ping?.payload, 1));
    const last = await peer.next(
      ({ type, payload }) => type === 'GOAWAY' && payload.readUInt32BE(0) === 1,
    );
    assert.ok(last !== undefined);
    conn.destroy();
    await drained;
    assert.equal(rig.server.live, 0);
  });

  it('cuts one stream by CANCEL and keeps the session', async () => {
    const served = Promise.withResolvers<ByteConn>();
    await using rig = await start({
      onConnect: () => ({ status: 200, serve: served.resolve }),
    });
    const peer = await RawPeer.connect(rig.port, rig.clientIdentity);
    peer.greet();
    peer.send(connectFrame(1));
    const conn = await served.promise;
    conn.destroy(new MeshError('DENIED', 'policy change', { side: 'local' }));
    const reset = await peer.next(({ type, stream }) => type === 'RST_STREAM' && stream === 1);
    assert.equal(reset?.payload.readUInt32BE(0), 8);
    peer.send(frame('PING', 0, Buffer.from('12345678')));
    assert.ok(await peer.next(({ type, flags }) => type === 'PING' && flags === 1));
    peer.destroy();
  });

  for (const [name, options] of [
    [
      'TLS 1.2',
      { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
    ],
    ['ChaCha20 alone', { ciphers: 'TLS_CHACHA20_POLY1305_SHA256' }],
    ['HTTP/1.1', { ALPNProtocols: ['http/1.1'] }],
    ['no ALPN', { ALPNProtocols: [] }],
  ] as const) {
    it(`refuses ${name}`, async () => {
      await using rig = await start();
      const socket = connect({
        port: rig.port,
        host: '127.0.0.1',
        ...tlsContextOptions(rig.clientIdentity),
        ALPNProtocols: ['h2'],
        checkServerIdentity: () => undefined,
        ...options,
      } as ConnectionOptions);
      socket.on('error', () => undefined);
      socket.resume();
      await new Promise<void>((resolve) => socket.once('close', () => resolve()));
      const { handshakeFailures, identityRefusals } = rig.server.counters;
      assert.equal(handshakeFailures + identityRefusals, 1);
      assert.equal(rig.server.live, 0);
    });
  }
});
