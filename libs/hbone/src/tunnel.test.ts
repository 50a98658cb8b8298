import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MeshError } from '@ambit/core';
import type { ByteConn } from '@ambit/proxy';
import { byteConnSuite, Recorder } from '@ambit/proxy/testing';
import { TestCa } from '@ambit/testkit';

import { HboneError } from './errors.ts';
import type { ConnectAnswer, ConnectRequest } from './server-session.ts';
import { TunnelRig } from './testing/index.ts';

const CA = new TestCa();
const SERVER = CA.workload('shop', 'reviews');
const CLIENT = CA.workload('shop', 'productpage');

function echo(conn: ByteConn): void {
  conn.start({
    onData: (chunk) => void conn.write(chunk),
    onEnd: () => conn.end(),
    onDrain: () => undefined,
    onClose: () => undefined,
  });
}

const accept = (): ConnectAnswer => ({ status: 200, serve: echo });

byteConnSuite({
  name: 'an HBONE tunnel',
  make: async () => {
    const far = Promise.withResolvers<ByteConn>();
    const rig = await TunnelRig.start({
      server: SERVER,
      client: CLIENT,
      onConnect: () => ({ status: 200, serve: far.resolve }),
    });
    const { conn } = await rig.pool.connect(rig.key(), { authority: '10.0.0.7:80' });
    return {
      near: conn,
      far: await far.promise,
      close: async () => await rig[Symbol.asyncDispose](),
    };
  },
});

describe('an HBONE tunnel', () => {
  it('carries bytes, names both peers and passes headers both ways', async () => {
    const requests: ConnectRequest[] = [];
    await using rig = await TunnelRig.start({
      server: SERVER,
      client: CLIENT,
      onConnect: (request) => {
        requests.push(request);
        return { status: 200, headers: { baggage: 'service.name=reviews' }, serve: echo };
      },
    });
    const { conn, peer, responseHeaders } = await rig.pool.connect(rig.key(), {
      authority: '10.0.0.7:9080',
      headers: { baggage: 'service.name=productpage', forwarded: 'for="10.0.0.1:4000"' },
    });
    const got = Recorder.on(conn);
    conn.write(Buffer.from('hello'));
    conn.end();
    assert.equal(await got.closed, undefined);
    assert.equal(got.text, 'hello');
    assert.equal(peer.uri, SERVER.identity);
    assert.equal(responseHeaders['baggage'], 'service.name=reviews');
    assert.equal(responseHeaders['date'], undefined);
    const [request] = requests;
    assert.equal(request?.peer.uri, CLIENT.identity);
    assert.deepEqual(request?.target, { host: '10.0.0.7', port: 9080, kind: 'ip' });
    assert.deepEqual(
      { ...request?.headers },
      {
        baggage: 'service.name=productpage',
        forwarded: 'for="10.0.0.1:4000"',
      },
    );
    assert.equal(request?.remoteAddress, '127.0.0.1');
    assert.equal(request?.localPort, rig.port);
  });

  for (const status of [400, 401, 503] as const) {
    it(`gives the caller the status ${status} of a refusal`, async () => {
      await using rig = await TunnelRig.start({
        server: SERVER,
        client: CLIENT,
        onConnect: () => ({ status, reason: 'because' }),
      });
      await assert.rejects(
        rig.pool.connect(rig.key(), { authority: '10.0.0.7:80' }),
        (error) =>
          error instanceof HboneError && error.code === 'HBONE_STATUS' && error.status === status,
      );
      assert.equal(rig.pool.size, 1, 'the tunnel lives on');
    });
  }

  it('answers 503 for what the handler throws', async () => {
    await using rig = await TunnelRig.start({
      server: SERVER,
      client: CLIENT,
      onConnect: () => {
        throw new Error('bug');
      },
    });
    await assert.rejects(
      rig.pool.connect(rig.key(), { authority: '10.0.0.7:80' }),
      (error) => error instanceof HboneError && error.status === 503,
    );
  });

  it('sends nothing to a server that is not expected', async () => {
    let asked = 0;
    await using rig = await TunnelRig.start({
      server: SERVER,
      client: CLIENT,
      onConnect: () => {
        asked += 1;
        return accept();
      },
    });
    for (const expected of [
      [],
      ['spiffe://cluster.local/ns/shop/sa/other'],
      ['spiffe://other.domain/ns/shop/sa/reviews'],
      [`${SERVER.identity}/`],
    ]) {
      await assert.rejects(
        rig.pool.connect(rig.key(expected), { authority: '10.0.0.7:80' }),
        (error) => error instanceof HboneError && error.code === 'HBONE_PEER_IDENTITY',
        JSON.stringify(expected),
      );
    }
    assert.equal(asked, 0);
    assert.equal(rig.pool.size, 0);
  });

  const strangers = new TestCa('strangers');
  for (const [name, client] of [
    ['of another CA', strangers.workload('shop', 'productpage')],
    [
      'that has expired',
      { ...CA.workload('shop', 'p', { notAfterMs: Date.now() - 1000 }), notAfterMs: Infinity },
    ],
  ] as const) {
    it(`refuses a client ${name}`, async () => {
      let asked = 0;
      await using rig = await TunnelRig.start({
        server: SERVER,
        // The stranger trusts our root, so the refusal is the server's.
        client: { ...client, rootsPem: CA.rootPem },
        onConnect: () => {
          asked += 1;
          return accept();
        },
      });
      await assert.rejects(
        rig.pool.connect(rig.key(), { authority: '10.0.0.7:80' }),
        (error) => error instanceof MeshError,
      );
      assert.equal(asked, 0);
      assert.equal(rig.rejected.length, 1);
    });
  }

  it('takes the certificate of the moment for each handshake, and none when expired', async () => {
    await using rig = await TunnelRig.start({ server: SERVER, client: CLIENT, onConnect: accept });
    await rig.pool.connect(rig.key(), { authority: '10.0.0.7:80' });
    rig.serverIdentity = CA.workload('shop', 'ratings');
    const { peer } = await rig.pool.connect(rig.key(), { authority: '10.0.0.7:80' });
    assert.equal(peer.serviceAccount, 'ratings');
    rig.clientIdentity = { ...CLIENT, notAfterMs: Date.now() - 1 };
    await assert.rejects(
      rig.pool.connect({ ...rig.key(), sourcePod: 'pod-2' }, { authority: '10.0.0.7:80' }),
      (error) => error instanceof HboneError && error.code === 'HBONE_NO_CERTIFICATE',
    );
    rig.serverIdentity = { ...SERVER, notAfterMs: Date.now() - 1 };
    rig.clientIdentity = CLIENT;
    await assert.rejects(
      rig.pool.connect({ ...rig.key(), sourcePod: 'pod-3' }, { authority: '10.0.0.7:80' }),
    );
    assert.equal(rig.server.counters.noCertificate, 1);
  });
});
