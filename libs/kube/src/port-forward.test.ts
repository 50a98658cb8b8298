import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { KubeClient } from './client.ts';
import { KubeHttp } from './http.ts';

/** RFC 6455 §1.3. */
const WEBSOCKET_ID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** A binary message that is not masked, as servers send. */
function frame(payload: Buffer): Buffer {
  const short = payload.length < 126;
  const head = Buffer.alloc(short ? 2 : 10);
  head[0] = 0x82;
  head[1] = short ? payload.length : 127;
  if (!short) {
    head.writeBigUInt64BE(BigInt(payload.length), 2);
  }
  return Buffer.concat([head, payload]);
}

/** The payload of one short masked message. */
function unmask(bytes: Buffer): Buffer {
  const length = (bytes[1] ?? 0) & 0x7f;
  const mask = bytes.subarray(2, 6);
  return bytes.subarray(6, 6 + length).map((byte, i) => byte ^ (mask[i % 4] ?? 0)) as Buffer;
}

interface Bed extends AsyncDisposable {
  readonly client: KubeClient;
  readonly asked: IncomingMessage[];
  readonly server: Promise<Duplex>;
}

/** A server that accepts the WebSocket, says the port on both channels, and leaves the rest to the test. */
async function bed(status = 101): Promise<Bed> {
  const asked: IncomingMessage[] = [];
  const opened = Promise.withResolvers<Duplex>();
  const server = createServer();
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    asked.push(request);
    if (status !== 101) {
      socket.end(`HTTP/1.1 ${status} no\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    const key = `${request.headers['sec-websocket-key']}${WEBSOCKET_ID}`;
    const accept = createHash('sha1').update(key).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\nsec-websocket-protocol: v4.channel.k8s.io\r\n\r\n`,
    );
    socket.write(frame(Buffer.from([0, 0x50, 0])));
    socket.write(frame(Buffer.from([1, 0x50, 0])));
    opened.resolve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const applied = { headers: { authorization: 'Bearer t' }, tls: {} };
  const http = new KubeHttp({
    clock: systemClock,
    credentials: {
      server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      namespace: 'default',
      apply: () => Promise.resolve(applied),
      invalidate: () => undefined,
    },
  });
  return {
    client: new KubeClient({ http }),
    asked,
    server: opened.promise,
    async [Symbol.asyncDispose]() {
      (await (status === 101 ? opened.promise : undefined))?.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('portForward', () => {
  it('carries bytes both ways, with our credentials', async () => {
    await using b = await bed();
    const stream = await b.client.portForward('a', 'pod', 80);
    const peer = await b.server;
    assert.equal(b.asked[0]?.url, '/api/v1/namespaces/a/pods/pod/portforward?ports=80');
    assert.equal(b.asked[0]?.headers.authorization, 'Bearer t');
    stream.write('hello');
    const [sent] = (await once(peer, 'data')) as [Buffer];
    assert.equal(unmask(sent).toString(), '\0hello');
    peer.write(frame(Buffer.alloc(0)));
    peer.write(frame(Buffer.from('\0world')));
    const [received] = (await once(stream, 'data')) as [Buffer];
    assert.equal(received.toString(), 'world');
    stream.destroy();
  });

  it('does not read faster than it is read', async () => {
    await using b = await bed();
    const stream = await b.client.portForward('a', 'pod', 80);
    const peer = await b.server;
    const block = frame(Buffer.alloc(64 * 1024));
    let sent = 0;
    while (peer.write(block) && sent < 4_000) {
      sent += 1;
    }
    for (let i = 0; i < 2_000; i += 1) {
      peer.write(block);
    }
    await systemClock.sleep(100);
    assert.ok(stream.readableLength < 4 * 1024 * 1024, `${stream.readableLength} bytes held`);
    let read = 0;
    const total = (sent + 1 + 2_000) * (64 * 1024 - 1);
    for await (const chunk of stream) {
      read += (chunk as Buffer).length;
      if (read === total) {
        break;
      }
    }
    assert.equal(read, total);
  });

  it('ends when the other side ends', async () => {
    await using b = await bed();
    const stream = await b.client.portForward('a', 'pod', 80);
    (await b.server).end(Buffer.from([0x88, 0]));
    stream.resume();
    await once(stream, 'end');
  });

  it('fails with what the node says', async () => {
    await using b = await bed();
    const stream = await b.client.portForward('a', 'pod', 80);
    (await b.server).write(frame(Buffer.from('\x01connection refused')));
    const [error] = (await once(stream, 'error')) as [Error];
    assert.match(error.message, /port 80 of pod a\/pod: connection refused/);
  });

  it('is refused when the API server refuses', async () => {
    await using b = await bed(403);
    await assert.rejects(b.client.portForward('a', 'pod', 80), {
      code: 'KUBE_CONNECTION_FAILED',
      message: /403/,
    });
  });
});
