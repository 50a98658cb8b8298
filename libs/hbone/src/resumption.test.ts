/** Tickets: what they save is a handshake's signatures, and nothing of what is asked about the peer. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { describe, it } from 'node:test';
import { connect as connectTls, createServer } from 'node:tls';
import { FakeClock } from '@ambit/core/testing';
import { chainLinks, type RevocationProblem, type Revocations } from '@ambit/identity';
import { TestCa } from '@ambit/testkit';
import { secureClient } from './client-handshake.ts';
import type { ConnectAnswer } from './server-session.ts';
import {
  connectHeaders,
  END_HEADERS,
  frame,
  PREFACE,
  type RigOptions,
  TunnelRig,
} from './testing/index.ts';
import { newTicketKeys, TICKET_MS, TicketCache } from './tickets.ts';
import { tlsContextOptions } from './tls.ts';
import { type KnownPeer, Trust } from './trust.ts';

const CA = new TestCa();
const LONG = { notAfterMs: Date.now() + 3 * TICKET_MS };
const SERVER = CA.workload('shop', 'server', LONG);
const CLIENT = CA.workload('shop', 'client', LONG);
/** An answer that leaves no tunnel behind. */
const heard = (): ConnectAnswer => ({ status: 403, reason: 'heard' });
const TARGET = { authority: '10.0.0.7:80' };

interface Counts {
  readonly full: number;
  readonly resumed: number;
}

class Rig {
  readonly clock = new FakeClock({ wallStartMs: Date.now() });
  readonly tunnels: TunnelRig;
  revocations: Revocations | undefined;

  private constructor(tunnels: TunnelRig, clock: FakeClock) {
    this.tunnels = tunnels;
    this.clock = clock;
  }

  static async start(options: Partial<RigOptions> = {}): Promise<Rig> {
    const clock = new FakeClock({ wallStartMs: Date.now() });
    let rig: Rig | undefined;
    const tunnels = await TunnelRig.start({
      clock,
      server: SERVER,
      client: CLIENT,
      onConnect: heard,
      revocations: () => rig?.revocations,
      ...options,
    });
    rig = new Rig(tunnels, clock);
    return rig;
  }

  /** One tunnel session, from its handshake to its end, with time for its tickets to come. */
  async visit(): Promise<void> {
    const { tunnels } = this;
    await assert.rejects(tunnels.pool.connect(tunnels.key(), TARGET), { status: 403 });
    tunnels.pool.retire(() => true);
    while (tunnels.pool.size > 0 || tunnels.server.live > 0) {
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  /** As both ends count them. */
  get counts(): Counts {
    const { pool, server } = this.tunnels;
    assert.equal(pool.counters.resumed, server.counters.resumed);
    const { accepted, resumed } = server.counters;
    return { full: accepted - resumed, resumed };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tunnels[Symbol.asyncDispose]();
  }
}

describe('a tunnel session with a ticket', () => {
  it('is resumed, and each ticket is used once', async () => {
    const callers: string[] = [];
    await using rig = await Rig.start({
      onConnect: ({ peer }) => {
        callers.push(peer.uri);
        return heard();
      },
    });
    for (let n = 0; n < 6; n += 1) await rig.visit();
    // A full handshake gives two tickets, a resumed one none.
    assert.deepEqual(rig.counts, { full: 2, resumed: 4 });
    assert.deepEqual(new Set(callers), new Set([CLIENT.identity]));
  });

  const changes: readonly (readonly [string, (rig: Rig) => void])[] = [
    [
      'the server has a new certificate',
      ({ tunnels }) => {
        tunnels.serverIdentity = { ...SERVER };
      },
    ],
    [
      'the client has a new certificate',
      ({ tunnels }) => {
        tunnels.clientIdentity = { ...CLIENT };
      },
    ],
    [
      'the bundle has another root',
      ({ tunnels }) => {
        const rootsPem = SERVER.rootsPem + new TestCa('next').rootPem;
        tunnels.serverIdentity = { ...SERVER, rootsPem };
        tunnels.clientIdentity = { ...CLIENT, rootsPem };
      },
    ],
    [
      'another list of revocations',
      (rig) => {
        rig.revocations = { problemOf: () => undefined };
      },
    ],
    ['the ticket is an hour old', ({ clock }) => clock.advance(TICKET_MS)],
  ];
  for (const [what, change] of changes) {
    it(`gets a full handshake when ${what}`, async () => {
      await using rig = await Rig.start({ client: { ...CLIENT }, server: { ...SERVER } });
      await rig.visit();
      await rig.visit();
      assert.deepEqual(rig.counts, { full: 1, resumed: 1 });
      change(rig);
      await rig.visit();
      assert.deepEqual(rig.counts, { full: 2, resumed: 1 });
    });
  }

  it('gets a full handshake for another caller, server, or pod', async () => {
    await using rig = await Rig.start();
    await rig.visit();
    const { tunnels } = rig;
    const key = tunnels.key();
    for (const other of [
      { ...key, sourcePod: 'pod-2' },
      { ...key, endpoint: 'other' },
      { ...key, expectedIdentities: [SERVER.identity, CLIENT.identity] },
    ]) {
      await assert.rejects(tunnels.pool.connect(other, TARGET), { status: 403 });
    }
    assert.deepEqual(rig.counts, { full: 4, resumed: 0 });
  });
});

/** Tickets of a foreign client: it keeps what it likes, and offers it when it likes. */
async function handshake(rig: Rig, identity = CLIENT, session?: Buffer) {
  const socket = connectTls({
    port: rig.tunnels.port,
    host: '127.0.0.1',
    ...tlsContextOptions(identity),
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
    ...(session && { session }),
  });
  const tickets: Buffer[] = [];
  const closed = new Promise<'closed'>((resolve) => socket.once('close', () => resolve('closed')));
  socket.on('session', (ticket: Buffer) => tickets.push(ticket));
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  const isResumed = socket.isSessionReused();
  const connect = frame('HEADERS', 1, connectHeaders(TARGET.authority), END_HEADERS);
  socket.write(Buffer.concat([PREFACE, frame('SETTINGS', 0), connect]));
  const outcome = await Promise.race([once(socket, 'data').then(() => 'served' as const), closed]);
  socket.end();
  return { isResumed, outcome, tickets };
}

describe('a server that is offered a ticket', () => {
  it('serves whom it was given to', async () => {
    await using rig = await Rig.start();
    const { tickets } = await handshake(rig);
    assert.equal(tickets.length, 2);
    const { isResumed, outcome } = await handshake(rig, CLIENT, tickets[0]);
    assert.deepEqual({ isResumed, outcome }, { isResumed: true, outcome: 'served' });
  });

  it('sees in a stolen one whom it was given to, not who shows it', async () => {
    const { promise: caller, resolve } = Promise.withResolvers<string>();
    let asked = 0;
    await using rig = await Rig.start({
      onConnect: ({ peer }) => {
        asked += 1;
        if (asked === 2) resolve(peer.uri);
        return heard();
      },
    });
    const { tickets } = await handshake(rig);
    // Who has the session's secret beside the ticket has read the client's memory, and speaks for that client alone.
    const { isResumed } = await handshake(rig, CA.workload('shop', 'thief'), tickets[0]);
    assert.equal(isResumed, true);
    assert.equal(await caller, CLIENT.identity);
  });

  it('makes a full handshake for one of another pod of the same identity', async () => {
    await using one = await Rig.start();
    await using other = await Rig.start();
    const { tickets } = await handshake(one);
    const { isResumed, outcome } = await handshake(other, CLIENT, tickets[0]);
    assert.deepEqual({ isResumed, outcome }, { isResumed: false, outcome: 'served' });
  });

  it('refuses one whose certificate has expired since', async () => {
    const notAfterMs = Date.now() + 60_000;
    await using rig = await Rig.start();
    const short = CA.workload('shop', 'client', { notAfterMs });
    const { tickets } = await handshake(rig, short);
    rig.clock.advance(60_001);
    const { isResumed, outcome } = await handshake(rig, short, tickets[0]);
    assert.deepEqual({ isResumed, outcome }, { isResumed: true, outcome: 'closed' });
    assert.equal(rig.tunnels.server.counters.refusedPeers.resumption, 1);
  });

  it('makes a full handshake for one that is an hour old', async () => {
    await using rig = await Rig.start();
    const { tickets } = await handshake(rig);
    rig.clock.advance(TICKET_MS);
    const { isResumed, outcome } = await handshake(rig, CLIENT, tickets[0]);
    assert.deepEqual({ isResumed, outcome }, { isResumed: false, outcome: 'served' });
  });

  it('has given none to whom it refused', async () => {
    await using rig = await Rig.start();
    const { tickets, outcome } = await handshake(rig, CA.otherTrustDomain('shop', 'client'));
    assert.deepEqual({ tickets, outcome }, { tickets: [], outcome: 'closed' });
  });

  it('refuses whoever is revoked, in both kinds of handshake', async () => {
    await using rig = await Rig.start();
    const { tickets } = await handshake(rig);
    let problem: RevocationProblem | undefined;
    const list: Revocations = { problemOf: () => problem };
    rig.revocations = list;
    const fresh = await handshake(rig, CLIENT, tickets[0]);
    assert.deepEqual([fresh.isResumed, fresh.outcome], [false, 'served']);
    problem = { kind: 'revoked', reason: 'it is' };
    const resumed = await handshake(rig, CLIENT, fresh.tickets[0]);
    assert.deepEqual([resumed.isResumed, resumed.outcome], [true, 'closed']);
    assert.equal((await handshake(rig)).outcome, 'closed');
    assert.equal(rig.tunnels.server.counters.refusedPeers.revoked, 2);
  });
});

describe('a client with a ticket', () => {
  it('tries without it where the server ends the resumed session', async () => {
    let refusals = 0;
    const [{ serial } = { serial: '' }] = chainLinks([
      new X509Certificate(CLIENT.chainPem),
      new X509Certificate(CA.rootPem),
    ]);
    const problemOf: Revocations['problemOf'] = (links) => {
      if (refusals === 0 || links[0]?.serial !== serial) return undefined;
      refusals -= 1;
      return { kind: 'revocation_unknown', reason: 'for a while' };
    };
    await using rig = await Rig.start();
    rig.revocations = { problemOf };
    await rig.visit();
    refusals = 2;
    await rig.visit();
    const { refusedPeers, accepted, resumed } = rig.tunnels.server.counters;
    assert.equal(refusedPeers.revocation_unknown, 2);
    assert.deepEqual([accepted, resumed, rig.tunnels.pool.counters.resumed], [4, 0, 2]);
  });
});

describe('a ticket of a server', () => {
  for (const [whose, ticketKeys, kept] of [
    ['that is ours is kept', newTicketKeys(), 1],
    ['that is another program is let be', Buffer.alloc(48, 7), 0],
  ] as const) {
    it(whose, async () => {
      const tls = createServer({
        ...tlsContextOptions(SERVER),
        requestCert: true,
        ALPNProtocols: ['h2'],
        ticketKeys,
      });
      tls.on('secureConnection', (socket) => socket.on('error', () => undefined).resume());
      tls.listen(0, '127.0.0.1');
      await once(tls, 'listening');
      const raw = connectTcp((tls.address() as AddressInfo).port, '127.0.0.1');
      const trust = new Trust(CLIENT, undefined);
      const { socket } = await secureClient(raw, {
        trust,
        expectedIdentities: [SERVER.identity],
        ticketKey: 'key',
        nowMs: () => Date.now(),
        signal: new AbortController().signal,
      });
      await once(socket, 'session');
      assert.equal(trust.tickets.size, kept);
      socket.destroy();
      tls.close();
    });
  }
});

describe('TicketCache', () => {
  const peer = {} as KnownPeer;
  const ticket = (name: string, endsMs = 10) => ({ session: Buffer.from(name), peer, endsMs });
  const text = (cache: TicketCache, key: string, nowMs = 0): string | undefined =>
    cache.take(key, nowMs)?.session.toString();

  it('gives the two newest of a key, once, and none that has ended', () => {
    const cache = new TicketCache();
    for (const name of ['a', 'b', 'c']) cache.add('key', ticket(name));
    assert.deepEqual(
      ['key', 'other', 'key', 'key'].map((key) => text(cache, key)),
      ['c', undefined, 'b', undefined],
    );
    assert.equal(cache.size, 0);
    cache.add('key', ticket('d', 5));
    cache.add('key', ticket('e', 4));
    assert.equal(text(cache, 'key', 4), 'd');
    cache.add('key', ticket('f', 5));
    assert.equal(text(cache, 'key', 5), undefined);
  });

  it('keeps 256 keys, the newest', () => {
    const cache = new TicketCache();
    for (let n = 0; n < 300; n += 1) cache.add(`key ${n}`, ticket('t'));
    assert.equal(cache.size, 256);
    assert.equal(text(cache, 'key 43'), undefined);
    assert.equal(text(cache, 'key 44'), 't');
  });

  it('has other keys each time, with a name that tells whose they are', () => {
    const [one, two] = [newTicketKeys(), newTicketKeys()];
    assert.equal(one.length, 48);
    assert.notDeepEqual(one.subarray(0, 16), two.subarray(0, 16));
    assert.notDeepEqual(one.subarray(16), two.subarray(16));
  });
});
