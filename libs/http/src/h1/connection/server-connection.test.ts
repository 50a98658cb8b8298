/** A client's connection from end to end, in memory: order, pipelining, Expect, refusals, the ways to close. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Recorder } from '@ambit/proxy/testing';
import { answerAtOnce, GET, OK, POST, serve } from '../fixtures/served.ts';

describe('H1ServerConnection', () => {
  it('answers one request after another, each as one write', async () => {
    const { send, client, settle, requests } = serve({ onSeen: answerAtOnce });
    send(GET);
    await settle();
    assert.equal(client.text, 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n/1');
    assert.deepEqual(client.events, ['data']);
    send(GET);
    await settle();
    assert.equal(requests.length, 2);
    assert.deepEqual(client.events, ['data', 'data']);
  });

  it('reads a pipelined request when the one before is answered, not before', async () => {
    const { send, client, settle, requests } = serve();
    send(`${GET}${GET.replace('/1', '/2')}`);
    await settle();
    assert.equal(requests.length, 1);
    assert.deepEqual(requests[0]?.trailers, []);
    requests[0]?.exchange.respond(OK, Buffer.from('one'));
    await settle();
    assert.equal(requests[1]?.exchange.head.path, '/2');
    requests[1]?.exchange.respond(OK, Buffer.from('two'));
    await settle();
    assert.match(client.text, /one.*two$/s);
  });

  it('answers thousands that came at once, in order and without a stack', async () => {
    const { send, client, settle, requests } = serve({ onSeen: answerAtOnce });
    const many = Array.from(
      { length: 5_000 },
      (_, index) => `GET /${index} HTTP/1.1\r\nHost: a\r\n\r\n`,
    );
    send(many.join(''));
    await settle();
    assert.equal(requests.length, 5_000);
    assert.equal(requests.at(-1)?.exchange.head.path, '/4999');
    assert.equal(client.events.includes('end'), false);
  });

  it('streams a body in, held back by who reads it', async () => {
    const { send, settle, requests } = serve({ onSeen: (seen) => seen.exchange.pause() });
    send(`${POST}ab`);
    await settle();
    assert.equal(requests[0]?.body, '');
    requests[0]?.exchange.resume();
    assert.equal(requests[0]?.body, 'ab');
    send('cde');
    await settle();
    assert.equal(requests[0]?.body, 'abcde');
    assert.deepEqual(requests[0]?.trailers, []);
  });

  it('streams an answer out in chunks, with trailers', async () => {
    const { send, client, settle, requests } = serve();
    send(GET);
    await settle();
    const exchange = requests[0]?.exchange;
    exchange?.begin(OK);
    exchange?.write(Buffer.from('ab'));
    await settle();
    exchange?.write(Buffer.from('cd'));
    exchange?.end(['x-sum', '1']);
    await settle();
    assert.equal(
      client.text,
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\nx-sum: 1\r\n\r\n',
    );
    assert.deepEqual(client.events, ['data', 'data']);
  });

  it('says when the client takes more', async () => {
    const { send, settle, requests } = serve();
    send(GET);
    await settle();
    const seen = requests[0];
    seen?.exchange.begin(OK);
    assert.equal(seen?.exchange.write(Buffer.alloc(200_000)), false);
    await settle();
    assert.equal(seen?.drains, 1);
  });

  it('closes after HTTP/1.0, without chunks', async () => {
    const { send, client, settle, requests } = serve();
    send('GET / HTTP/1.0\r\n\r\n');
    await settle();
    const exchange = requests[0]?.exchange;
    exchange?.sendInterim(103, []);
    exchange?.begin(OK);
    exchange?.write(Buffer.from('ab'));
    exchange?.end();
    await client.ended;
    assert.equal(client.text, 'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nab');
  });

  it('sends no body to HEAD, but its length', async () => {
    const { send, client, settle } = serve({ onSeen: answerAtOnce });
    send(GET.replace('GET', 'HEAD'));
    send(GET);
    await settle();
    assert.equal(
      client.text,
      'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n/1',
    );
  });

  it('tells a client that waits to go on, once', async () => {
    const { send, client, settle, requests } = serve();
    send(POST.replace('Host', 'Expect: 100-continue\r\nHost'));
    await settle();
    requests[0]?.exchange.sendContinue();
    requests[0]?.exchange.sendContinue();
    await settle();
    assert.equal(client.text, 'HTTP/1.1 100 Continue\r\n\r\n');
    send('abcde');
    await settle();
    requests[0]?.exchange.respond(OK, Buffer.alloc(0));
    await settle();
    assert.match(client.text, /content-length: 0\r\n\r\n$/);
    assert.doesNotMatch(client.text, /close/);
  });

  it('closes when it answers a client that was not told to go on', async () => {
    const { send, client, settle, requests } = serve();
    send(POST.replace('Host', 'Expect: 100-continue\r\nHost'));
    await settle();
    requests[0]?.exchange.respond({ status: 403, fields: [] }, Buffer.alloc(0));
    await client.ended;
    assert.match(client.text, /^HTTP\/1.1 403 .*connection: close/s);
    send('abcde');
    await settle();
    assert.equal(requests.length, 1, 'the body is no request');
  });

  it('hands over what came behind an upgrade that is granted', async () => {
    const { send, client, settle, requests, closed, clock } = serve();
    const upgrade =
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
    send(`${upgrade}early`);
    await settle();
    const conn = requests[0]?.exchange.switchTo('websocket', ['x', 'y']);
    assert.ok(conn !== undefined);
    send(' late');
    await settle();
    const far = Recorder.on(conn);
    conn.write(Buffer.from('answer'));
    await settle();
    assert.equal(far.text, 'early late');
    assert.equal(
      client.text,
      'HTTP/1.1 101 Switching Protocols\r\nx: y\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nanswer',
    );
    assert.equal(closed(), 1);
    clock.advance(1_000_000);
    await settle();
    assert.deepEqual(client.events.includes('close'), false, 'no timer of ours is left');
    conn.end();
    await client.ended;
  });

  it('reads no request behind an upgrade that is refused and had bytes behind it', async () => {
    const { send, client, settle, requests } = serve();
    send(`GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n${GET}`);
    await settle();
    requests[0]?.exchange.respond({ status: 403, fields: [] }, Buffer.alloc(0));
    await client.ended;
    assert.equal(requests.length, 1);
  });

  it('opens a tunnel, or closes behind a CONNECT that is refused', async () => {
    const connect = 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n';
    const granted = serve();
    granted.send(`${connect}\x16\x03`);
    await granted.settle();
    const conn = granted.requests[0]?.exchange.openTunnel([]);
    assert.ok(conn !== undefined);
    assert.equal(granted.client.text, '');
    const far = Recorder.on(conn);
    await granted.settle();
    assert.equal(granted.client.text, 'HTTP/1.1 200 OK\r\n\r\n');
    assert.equal(far.text, '\x16\x03');
    const refused = serve();
    refused.send(`${connect}${GET}`);
    await refused.settle();
    refused.requests[0]?.exchange.respond({ status: 405, fields: [] }, Buffer.alloc(0));
    await refused.client.ended;
    assert.equal(refused.requests.length, 1);
  });

  for (const [name, text, status, code] of [
    ['a bad byte', 'GET /\0', 400, 'H1_TARGET_INVALID'],
    ['TLS', '\x16\x03\x01', 400, 'H1_METHOD_INVALID'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505, 'H1_HTTP2_PREFACE'],
    ['a long target', `GET /${'a'.repeat(20_000)}`, 414, 'H1_TARGET_TOO_LONG'],
    [
      'two lengths',
      GET.replace('Host', 'Content-Length: 1\r\nContent-Length: 2\r\nHost'),
      400,
      'H1_CONTENT_LENGTH_REPEATED',
    ],
  ] as const) {
    it(`answers ${name} with ${status} and closes`, async () => {
      const { send, client, settle, requests, refusals } = serve();
      send(text);
      await client.ended;
      assert.match(client.text, new RegExp(`^HTTP/1.1 ${status} .*connection: close\r\n`, 's'));
      assert.equal(requests.length, 0);
      assert.equal(refusals.of(code), 1);
      send(GET);
      await settle();
      assert.equal(requests.length, 0, 'what comes behind is not read');
    });
  }

  it('tells the receiver of a body that it broke off, and cuts an answer that has begun', async () => {
    const { send, client, settle, requests } = serve();
    send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n');
    await settle();
    requests[0]?.exchange.begin(OK);
    await settle();
    send('x');
    const error = await client.closed;
    assert.ok(error !== undefined, 'a reset');
    assert.equal(requests[0]?.gone?.code, 'H1_CHUNK_SIZE_INVALID');
  });

  it('resets an answer that is cut, also one that ends with the connection', async () => {
    const { send, client, settle, requests } = serve();
    send('GET / HTTP/1.0\r\n\r\n');
    await settle();
    requests[0]?.exchange.begin(OK);
    requests[0]?.exchange.write(Buffer.from('half'));
    await settle();
    requests[0]?.exchange.reset();
    assert.ok((await client.closed) !== undefined, 'no clean end');
  });

  it('sends interim responses, and 100 only to who waits for it', async () => {
    const { send, client, settle, requests } = serve();
    send(GET);
    await settle();
    requests[0]?.exchange.sendInterim(103, ['link', '</a>']);
    requests[0]?.exchange.sendInterim(100, []);
    assert.throws(() => requests[0]?.exchange.sendInterim(200, []));
    assert.throws(() => requests[0]?.exchange.sendInterim(101, []));
    requests[0]?.exchange.respond({ status: 304, fields: [] }, Buffer.alloc(0));
    await settle();
    assert.equal(
      client.text,
      'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n',
    );
  });

  it('tells that the client went away, whenever it does', async () => {
    for (const leave of ['end', 'reset'] as const) {
      const world = serve();
      world.send(`${POST}ab`);
      await world.settle();
      world[leave]();
      await world.settle();
      assert.ok(world.requests[0]?.gone !== undefined, leave);
      assert.equal(world.closed(), 1, leave);
    }
  });

  it('answers a client that has ended its direction behind the request', async () => {
    const { send, end, client, settle, requests, closed } = serve();
    send(GET);
    end();
    await settle();
    assert.equal(requests[0]?.gone, undefined);
    requests[0]?.exchange.respond(OK, Buffer.from('late'));
    assert.equal(await client.closed, undefined);
    assert.match(client.text, /connection: close.*late$/s);
    await settle();
    assert.equal(closed(), 1);
  });

  it('leaves: the answer is the last; drains: what is idle closes now', async () => {
    const leaving = serve({ onSeen: answerAtOnce });
    leaving.server.leave();
    leaving.send(GET);
    await leaving.client.ended;
    assert.match(leaving.client.text, /connection: close/);
    const idle = serve();
    idle.server.drain();
    await idle.client.ended;
    const busy = serve();
    busy.send(GET);
    await busy.settle();
    busy.server.drain();
    busy.requests[0]?.exchange.respond(OK, Buffer.alloc(0));
    await busy.client.ended;
    assert.match(busy.client.text, /connection: close/);
  });
});
