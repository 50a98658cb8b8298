/** A connection to a server from end to end, in memory: reuse, early and late answers, breaks, switches. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MeshError } from '@ambit/core';
import { connPair, Recorder } from '@ambit/proxy/testing';
import type { RequestToWrite } from '../encode/head.ts';
import type { FieldLines, H1ResponseHead } from '../message.ts';
import { H1ClientConnection, type ResponseSink } from './client-connection.ts';

const GET: RequestToWrite = {
  method: 'GET',
  target: '/',
  authority: 'a',
  fields: [],
  body: { kind: 'none' },
};
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab';

class Seen implements ResponseSink {
  readonly interims: number[] = [];
  head: H1ResponseHead | undefined;
  body = '';
  trailers: FieldLines | undefined;
  drains = 0;
  failed: readonly [string, boolean] | undefined;
  onEnded: () => void = () => undefined;

  onInterim(head: H1ResponseHead): void {
    this.interims.push(head.status);
  }

  onHead(head: H1ResponseHead): void {
    this.head = head;
  }

  onData(bytes: Uint8Array): void {
    this.body += Buffer.from(bytes).toString('latin1');
  }

  onEnd(trailers: FieldLines): void {
    this.trailers = trailers;
    this.onEnded();
  }

  onDrain(): void {
    this.drains += 1;
  }

  onFailed(error: MeshError, hasBegun: boolean): void {
    this.failed = [error.code, hasBegun];
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) {
    await Promise.resolve();
  }
}

function open() {
  const [near, far] = connPair();
  const events: string[] = [];
  const client = new H1ClientConnection(near, {
    onFree: () => events.push('free'),
    onClosed: () => events.push('closed'),
  });
  client.start();
  const server = Recorder.on(far);
  return { client, server, far, events, send: (text: string) => far.write(Buffer.from(text)) };
}

describe('H1ClientConnection', () => {
  it('sends one request after another and is free between them', async () => {
    const { client, server, send, events } = open();
    for (const round of [1, 2]) {
      const seen = new Seen();
      client.request({ ...GET, target: `/${round}` }, seen);
      client.end();
      assert.equal(client.isFree, false);
      await settle();
      send(OK);
      await settle();
      assert.deepEqual([seen.head?.status, seen.body, seen.trailers], [200, 'ab', []]);
      assert.equal(client.isFree, true);
      assert.equal(client.uses, round);
    }
    assert.equal(
      server.text,
      'GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n',
    );
    assert.deepEqual(events, ['free', 'free']);
  });

  it('is free, and says so, before anybody hears of the end of an answer', async () => {
    const { client, server, send, events } = open();
    const first = new Seen();
    const second = new Seen();
    first.onEnded = () => {
      assert.equal(client.isFree, true);
      assert.deepEqual(events, ['free']);
      client.request({ ...GET, target: '/2' }, second);
      client.end();
    };
    client.request(GET, first);
    client.end();
    send(OK);
    await settle();
    assert.match(server.text, /GET \/2 HTTP/);
    send(OK);
    await settle();
    assert.equal(second.body, 'ab');
    assert.deepEqual(events, ['free', 'free']);
  });

  it('is not free at the end of an answer that came before its request was whole', async () => {
    const { client, send, events } = open();
    const seen = new Seen();
    let wasFree: boolean | undefined;
    seen.onEnded = () => {
      wasFree = client.isFree;
    };
    client.request({ ...GET, method: 'POST', body: { kind: 'length', bytes: 4 } }, seen);
    client.write(Buffer.from('ab'));
    send(OK);
    await settle();
    assert.equal(seen.body, 'ab');
    assert.equal(wasFree, false);
    assert.deepEqual(events, ['closed']);
    assert.equal(seen.failed, undefined);
  });

  it('streams a body out and an answer in, held back by who reads it', async () => {
    const { client, server, send } = open();
    const seen = new Seen();
    client.request({ ...GET, method: 'POST', body: { kind: 'chunked' } }, seen);
    client.write(Buffer.from('ab'));
    await settle();
    client.end(['x-sum', '1']);
    await settle();
    assert.match(server.text, /\r\n\r\n2\r\nab\r\n0\r\nx-sum: 1\r\n\r\n$/);
    client.pause();
    send(`HTTP/1.1 103 Early Hints\r\n\r\n${OK}`);
    await settle();
    assert.equal(seen.head, undefined);
    client.resume();
    await settle();
    assert.deepEqual(seen.interims, [103]);
    assert.equal(seen.body, 'ab');
  });

  it('is not free before its request is sent whole, and closes when the answer came first', async () => {
    const { client, send, events } = open();
    const seen = new Seen();
    client.request({ ...GET, method: 'POST', body: { kind: 'length', bytes: 5 } }, seen);
    client.write(Buffer.from('ab'));
    await settle();
    send(OK);
    await settle();
    assert.equal(seen.trailers?.length, 0);
    assert.deepEqual(events, ['closed']);
    assert.equal(client.write(Buffer.from('cde')), true);
    client.end();
    assert.equal(client.isFree, false);
  });

  for (const [name, text, free] of [
    ['after close', 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', false],
    ['after HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n', false],
    ['with bytes behind the answer', `${OK}H`, false],
    ['with an answer behind the answer', `${OK}${OK}`, false],
    ['after 204', 'HTTP/1.1 204 No Content\r\n\r\n', true],
  ] as const) {
    it(`is ${free ? '' : 'not '}free ${name}`, async () => {
      const { client, send, events } = open();
      const seen = new Seen();
      client.request(GET, seen);
      client.end();
      await settle();
      send(text);
      await settle();
      assert.ok(seen.trailers !== undefined);
      assert.equal(seen.failed, undefined);
      assert.equal(client.isFree, free);
      assert.deepEqual(events, [free ? 'free' : 'closed']);
    });
  }

  it('closes when it says so', async () => {
    const { client, send, events } = open();
    client.request({ ...GET, close: true }, new Seen());
    client.end();
    await settle();
    send(OK);
    await settle();
    assert.deepEqual(events, ['closed']);
  });

  it('closes on a server that talks first, or ends, while it is idle', async () => {
    for (const act of ['talk', 'end'] as const) {
      const { client, send, far, events } = open();
      if (act === 'talk') send(OK);
      else far.end();
      await settle();
      assert.equal(client.isFree, false, act);
      assert.deepEqual(events, ['closed'], act);
      assert.throws(() => client.request(GET, new Seen()), act);
    }
  });

  it('says how far a response came when it breaks off', async () => {
    for (const [text, act, code, hasBegun] of [
      ['', 'end', 'H1_TRUNCATED', false],
      ['', 'reset', 'PROXY_PEER_GONE', false],
      ['HTTP/1.1 2', 'end', 'H1_TRUNCATED', true],
      ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na', 'end', 'H1_TRUNCATED', true],
      ['HTTP/1.1 100 Continue\r\n\r\n', 'reset', 'PROXY_PEER_GONE', true],
      ['HTTP/1.1 200 OK\n', 'none', 'H1_BARE_LF', true],
    ] as const) {
      const { client, send, far, events } = open();
      const seen = new Seen();
      client.request(GET, seen);
      client.end();
      await settle();
      if (text !== '') send(text);
      await settle();
      if (act === 'end') far.end();
      if (act === 'reset') far.destroy(new MeshError('RESET', 'reset', { side: 'local' }));
      await settle();
      assert.deepEqual(seen.failed, [code, hasBegun], `${text} ${act}`);
      assert.deepEqual(events, ['closed']);
    }
  });

  it('takes an answer that ends with the connection', async () => {
    const { client, send, far, events } = open();
    const seen = new Seen();
    client.request(GET, seen);
    client.end();
    await settle();
    send('HTTP/1.1 200 OK\r\n\r\nab');
    far.end();
    await settle();
    assert.equal(seen.body, 'ab');
    assert.deepEqual(seen.trailers, []);
    assert.deepEqual(events, ['closed']);
  });

  it('hands over what an upgrade became, and closes when nobody takes it', async () => {
    const answer = 'HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nearly';
    const taken = open();
    const seen = new Seen();
    let text = '';
    seen.onEnded = () => {
      const conn = taken.client.handOver();
      const far = Recorder.on(conn);
      conn.write(Buffer.from('hello'));
      queueMicrotask(() => queueMicrotask(() => (text = far.text)));
    };
    taken.client.request({ ...GET, upgrade: 'websocket' }, seen);
    taken.client.end();
    await settle();
    taken.send(answer);
    await settle();
    assert.equal(text, 'early');
    assert.match(taken.server.text, /hello$/);
    const left = open();
    left.client.request({ ...GET, upgrade: 'websocket' }, new Seen());
    left.client.end();
    await settle();
    left.send(answer);
    await settle();
    assert.deepEqual(left.events, ['closed']);
  });

  it('sends nothing of a request that cannot be written', async () => {
    const { client, server } = open();
    assert.throws(() => client.request({ ...GET, target: '/ x' }, new Seen()), {
      code: 'H1_UNWRITABLE',
    });
    await settle();
    assert.equal(server.bytes, 0);
    assert.equal(client.isFree, true);
  });
});
