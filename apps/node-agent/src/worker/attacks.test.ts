/**
 * Attacks on port 15008 of a captured pod, by a peer with a certificate of the mesh and by one without, while a healthy client
 * talks to the same pod: each ends at its bound and is counted, the client notices nothing, and no memory stays.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { systemClock } from '@ambit/core';
import { heldBytes } from '@ambit/core/fuzzing';
import { type Flood, type H2Counters, newH2Counters } from '@ambit/h2';
import { attackByHttp2, H2_ATTACKS } from '@ambit/h2/testing';
import { TlsConn } from '@ambit/proxy';
import type { TestIdentity } from '@ambit/testkit';
import { WorkerRig } from './testing/worker-rig.ts';

const HBONE_PORT = 15_008;
const GROWTH_BYTES_MAX = 5_000_000;
const HALF_OPEN = 200;
const SILENT = 20;
const WARM_MS = 50;
/** The record header of a ClientHello of 512 bytes, and nothing of it. */
const HELLO_BEGINS = Buffer.from([0x16, 3, 1, 2, 0]);

/** Asks the pod's application over and over, each time by a connection of its own, until told to stop. */
class HealthyClient {
  readonly #rig: WorkerRig;
  readonly #port: number;
  readonly #done: Promise<void>;
  #isStopped = false;
  requests = 0;

  constructor(rig: WorkerRig, port: number) {
    this.#rig = rig;
    this.#port = port;
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    do {
      const asked = await this.#rig.connect(1, { address: this.#rig.address(2), port: this.#port });
      asked.conn.write(Buffer.from('ping'));
      await asked.until((recorder) => recorder.bytes === 4);
      asked.conn.end();
      await asked.ended;
      this.requests += 1;
    } while (!this.#isStopped);
  }

  /** Rejects when a request failed. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
  }
}

describe('port 15008 under attack', () => {
  let rig: WorkerRig;
  let port: number;
  let attacker: TestIdentity;
  const sockets: Socket[] = [];
  before(async () => {
    rig = new WorkerRig();
    attacker = rig.ca.workload('shop', 'client');
    await rig.clientAndServer();
    port = await rig.serve(2, (socket) => void socket.pipe(socket));
    // Code is compiled and pools are filled before anything is compared.
    const client = new HealthyClient(rig, port);
    for (const attack of H2_ATTACKS) {
      await attackByHttp2(new TlsConn(await openTls(), { side: 'upstream' }), attack, request());
    }
    await client.stop();
    await systemClock.sleep(WARM_MS);
  });
  after(async () => {
    for (const socket of sockets) {
      socket.destroy();
    }
    await rig[Symbol.asyncDispose]();
  });

  const request = (): string[] => [
    ...[':method', 'CONNECT', ':authority', `${rig.address(2)}:${port}`],
  ];

  /** Each attacker has an address of its own: one that comes back is on probation, which is tested elsewhere. */
  let attackers = 2;
  const from = (): {
    readonly host: string;
    readonly port: number;
    readonly localAddress: string;
  } => {
    attackers = attackers === 254 ? 3 : attackers + 1;
    return { host: rig.address(2), port: HBONE_PORT, localAddress: rig.address(attackers) };
  };

  const openTls = async (): Promise<TLSSocket> => {
    const socket = connectTls({
      ...from(),
      key: attacker.privateKeyPem,
      cert: attacker.chainPem,
      ca: attacker.rootsPem,
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    });
    socket.on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'secureConnect');
    return socket;
  };

  /** What metrics say, as the counters that it was. */
  const told = (): H2Counters => {
    const counters = newH2Counters();
    for (const { labels, value } of rig.metricValues('ambit_tunnel_floods_total')) {
      if (labels['reason'] === 'boundsReached') {
        counters.boundsReached = value;
      } else {
        counters.floods[labels['reason'] as Flood] = value;
      }
    }
    return counters;
  };

  /** The attack, a client beside it for as long, and what it has left. */
  const besideClient = async (
    context: { diagnostic(message: string): void },
    attack: () => Promise<void>,
  ): Promise<void> => {
    const before = await heldBytes();
    const client = new HealthyClient(rig, port);
    await attack();
    await client.stop();
    const grown = (await heldBytes()) - before;
    context.diagnostic(
      `${client.requests} requests beside it, ${(grown / 1e6).toFixed(1)} MB grown`,
    );
    assert.ok(client.requests > 0);
    assert.ok(grown < GROWTH_BYTES_MAX, `${grown} bytes more are in use`);
  };

  for (const attack of H2_ATTACKS) {
    it(`${attack.name}: ends the tunnel, is counted as what it is, and harms nobody`, async (context) => {
      const floods = attack.counted(told());
      await besideClient(context, async () => {
        await attackByHttp2(new TlsConn(await openTls(), { side: 'upstream' }), attack, request());
      });
      assert.equal(attack.counted(told()), floods + 1);
    });
  }

  it(`${HALF_OPEN} handshakes that are begun harm nobody`, async (context) => {
    await besideClient(context, async () => {
      const open = await Promise.all(
        Array.from({ length: HALF_OPEN }, async () => {
          const socket = connectTcp(from());
          socket.on('error', () => undefined);
          sockets.push(socket);
          await once(socket, 'connect');
          socket.write(HELLO_BEGINS);
          return socket;
        }),
      );
      for (const socket of open) {
        socket.destroy();
      }
    });
  });

  it(`${SILENT} tunnels that say nothing harm nobody`, async (context) => {
    await besideClient(context, async () => {
      const open = await Promise.all(Array.from({ length: SILENT }, openTls));
      for (const socket of open) {
        socket.destroy();
      }
    });
  });

  it('stays counted by reason when the pod goes', async () => {
    const before = rig.metricValues('ambit_tunnel_floods_total');
    assert.ok(before.length >= H2_ATTACKS.length, 'one for each');
    rig.send({ kind: 'pod-removed', uid: 'uid-server', mode: 'kill' });
    while (rig.metric('workload_manager_proxies_stopped_total') === 0) {
      await new Promise(setImmediate);
    }
    assert.deepEqual(rig.metricValues('ambit_tunnel_floods_total'), before);
  });
});
