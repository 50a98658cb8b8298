/**
 * Which group the keys of a tunnel are made with, read from the ServerHello on the wire: the hybrid with ML-KEM between two of ours, and
 * what the other has where it is not.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { headers, SETTINGS_ACK, settings } from '@ambit/h2/testing';
import { TestCa } from '@ambit/testkit';

import { HbonePool } from './pool.ts';
import { FramePeer, FrameServer, TunnelRig } from './testing/index.ts';

const CA = new TestCa();
const SERVER = CA.workload('shop', 'reviews');
const CLIENT = CA.workload('shop', 'productpage');
const TO = { authority: '10.0.0.7:80' };

const GROUPS: ReadonlyMap<number, string> = new Map([
  [0x11ec, 'X25519MLKEM768'],
  [0x1d, 'X25519'],
  [0x17, 'P-256'],
]);
const HANDSHAKE_RECORD = 22;
const SERVER_HELLO = 2;
const KEY_SHARE = 51;
/** RFC 8446 §4.1.3: version and random. */
const BEFORE_SESSION_ID = 2 + 32;
const CIPHER_AND_COMPRESSION = 3;

/** One for each ServerHello; a HelloRetryRequest is one. They are the only handshake messages of a server in clear. */
function groupsOf(bytes: Buffer): string[] {
  const groups: string[] = [];
  let at = 0;
  while (at + 5 <= bytes.length) {
    const end = at + 5 + bytes.readUInt16BE(at + 3);
    if (bytes[at] === HANDSHAKE_RECORD && bytes[at + 5] === SERVER_HELLO) {
      groups.push(groupOf(bytes.subarray(at + 5 + 4, end)));
    }
    at = end;
  }
  return groups;
}

function groupOf(hello: Buffer): string {
  const sessionIdBytes = hello[BEFORE_SESSION_ID] ?? 0;
  let at = BEFORE_SESSION_ID + 1 + sessionIdBytes + CIPHER_AND_COMPRESSION + 2;
  while (hello.readUInt16BE(at) !== KEY_SHARE) {
    at += 4 + hello.readUInt16BE(at + 2);
  }
  const group = hello.readUInt16BE(at + 4);
  return GROUPS.get(group) ?? `0x${group.toString(16)}`;
}

const portOf = (server: Server): number => {
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
};

/** Passes on what it is given, and keeps what the server's side says. */
class Wire implements AsyncDisposable {
  readonly #said: Buffer[] = [];
  readonly #open: Socket[] = [];
  readonly #relay: Server;

  private constructor(dial: () => Promise<Socket>) {
    this.#relay = createServer((near) => {
      near.on('error', () => undefined);
      this.#open.push(near);
      dial()
        .then((far) => {
          far.on('error', () => near.destroy());
          far.on('data', (chunk: Buffer) => this.#said.push(chunk));
          near.once('close', () => far.destroy());
          near.pipe(far).pipe(near);
        })
        .catch(() => near.destroy());
    });
  }

  static async to(dial: () => Promise<Socket>): Promise<Wire> {
    const wire = new Wire(dial);
    wire.#relay.listen(0, '127.0.0.1');
    await once(wire.#relay, 'listening');
    return wire;
  }

  get port(): number {
    return portOf(this.#relay);
  }

  get groups(): string[] {
    return groupsOf(Buffer.concat(this.#said));
  }

  async dial(): Promise<Socket> {
    const socket = connect({ port: this.port, host: '127.0.0.1' });
    await once(socket, 'connect');
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#open) {
      socket.destroy();
    }
    this.#relay.close();
    await once(this.#relay, 'close');
  }
}

function poolOver(wire: Wire): HbonePool {
  return new HbonePool({
    clock: new FakeClock(),
    identity: () => CLIENT,
    dial: async () => await wire.dial(),
  });
}

async function startServer(): Promise<TunnelRig> {
  return await TunnelRig.start({
    server: SERVER,
    client: CLIENT,
    onConnect: () => ({ status: 200, serve: () => undefined }),
  });
}

/** What another end offers → the group of each ServerHello. Two: it was asked again. */
const SERVED: readonly (readonly [offers: string, groups: readonly string[]])[] = [
  ['X25519MLKEM768:X25519', ['X25519MLKEM768']],
  ['X25519', ['X25519']],
  ['X25519:P-256', ['X25519']],
];
const REFUSED = ['P-384', 'P-521', 'X448'];

describe('the keys of a tunnel', () => {
  it('between two of ours are made with the hybrid, at the first try', async () => {
    await using rig = await startServer();
    await using wire = await Wire.to(async () => await rig.dial());
    const pool = poolOver(wire);
    await pool.connect(rig.key(), TO);
    assert.deepEqual(wire.groups, ['X25519MLKEM768']);
    pool.destroy();
  });

  for (const [offers, groups] of [...SERVED, ['P-256', ['P-256', 'P-256']] as const]) {
    it(`are made with ${groups[0]} where the server has ${offers}`, async () => {
      await using server = await FrameServer.start(SERVER, { ecdhCurve: offers });
      await using wire = await Wire.to(async () => await server.dial());
      const pool = poolOver(wire);
      const key = {
        sourceIdentity: CLIENT.identity,
        expectedIdentities: [SERVER.identity],
        address: '10.0.0.7',
        port: 15008,
        sourcePod: 'pod',
      };
      const connecting = pool.connect(key, TO);
      const peer = await server.peer();
      peer.send(settings(), SETTINGS_ACK, headers(1, [':status', '200']));
      await connecting;
      assert.deepEqual(wire.groups, groups);
      pool.destroy();
    });
  }

  for (const [offers, groups] of [...SERVED, ['P-256', ['P-256']] as const]) {
    it(`are made with ${groups[0]} where the client has ${offers}`, async () => {
      await using rig = await startServer();
      await using wire = await Wire.to(async () => await rig.dial());
      const peer = await FramePeer.connect(wire.port, CLIENT, { ecdhCurve: offers });
      assert.deepEqual(wire.groups, groups);
      assert.equal(rig.rejected.length, 0);
      peer.destroy();
    });
  }

  for (const offers of REFUSED) {
    it(`are not made with ${offers}`, async () => {
      await using rig = await startServer();
      await assert.rejects(FramePeer.connect(rig.port, CLIENT, { ecdhCurve: offers }));
      await using server = await FrameServer.start(SERVER, { ecdhCurve: offers });
      await using wire = await Wire.to(async () => await server.dial());
      const pool = poolOver(wire);
      await assert.rejects(pool.connect(rig.key(), TO), { code: 'HBONE_TLS' });
      pool.destroy();
    });
  }
});
