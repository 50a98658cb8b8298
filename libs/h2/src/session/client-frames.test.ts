/** RFC 9113 by paragraph at a client: what it says, and what it makes of a server's frames. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Recorder } from '@ambit/proxy/testing';
import { H2Error } from '../errors.ts';
import { FLAG, FRAME } from '../frames/protocol.ts';
import type { RequestHead, ResponseHead } from '../message.ts';
import { frame } from '../testing/frames.ts';
import { data, goaway, headers, ping, reset, settings, windowUpdate } from '../testing/raw-peer.ts';
import { clientRig } from '../testing/sessions.ts';
import type { ClientStream, ResponseSink } from './client-stream.ts';

const { END_STREAM } = FLAG;
const REQUEST: RequestHead = {
  method: 'GET',
  scheme: 'http',
  authority: 'a',
  path: '/',
  fields: [],
};
const TUNNEL: RequestHead = {
  method: 'CONNECT',
  scheme: undefined,
  path: undefined,
  authority: 'b:1',
  fields: [],
};
const OK = headers(1, [':status', '200']);

/** What a request heard, in words. */
class Heard implements ResponseSink {
  readonly events: string[] = [];

  onInformational(head: ResponseHead): void {
    this.events.push(`informational ${head.status}`);
  }

  onResponse(head: ResponseHead, hasEnded: boolean): void {
    this.events.push(`response ${head.status}${hasEnded ? ' ended' : ''}`);
  }

  onNoResponse(error: Error | undefined): void {
    this.events.push(`none ${error !== undefined && 'code' in error ? String(error.code) : ''}`);
  }

  /** All of the stream, to its end. */
  read(stream: ClientStream): void {
    stream.start({
      onData: (chunk) => void this.events.push(`data ${Buffer.from(chunk).toString()}`),
      onTrailers: (fields) => void this.events.push(`trailers ${fields.join('=')}`),
      onEnd: () => void this.events.push('end'),
      onDrain: () => undefined,
      onClose: (error) =>
        void this.events.push(
          `close${error !== undefined && 'code' in error ? ` ${String(error.code)}` : ''}`,
        ),
    });
  }
}

async function asked(head: RequestHead = REQUEST, endStream = true) {
  const rig = clientRig();
  rig.peer.greetAsServer();
  await rig.peer.answers();
  const heard = new Heard();
  const stream = rig.session.request(head, heard, { endStream });
  heard.read(stream);
  await rig.peer.answers();
  return { ...rig, heard, stream };
}

type Case = readonly [
  name: string,
  frames: readonly Uint8Array[],
  heard: readonly string[],
  said: readonly string[],
];

const broken = (code: string): [string[], string[]] => [
  ['none H2_PROTOCOL', 'close H2_PROTOCOL'],
  [`GOAWAY 0 ${code}`],
];
const bad: [string[], string[]] = [
  ['none H2_PROTOCOL', 'close H2_PROTOCOL'],
  ['RST_STREAM 1 PROTOCOL_ERROR'],
];

const CASES: readonly Case[] = [
  [
    '8.1 a response',
    [OK, data(1, 'abc', END_STREAM)],
    ['response 200', 'data abc', 'end', 'close'],
    [],
  ],
  [
    '8.1 a response without body',
    [headers(1, [':status', '204'], END_STREAM)],
    ['response 204 ended', 'end', 'close'],
    [],
  ],
  [
    '8.1 informational ones first',
    [
      headers(1, [':status', '100']),
      headers(1, [':status', '103']),
      headers(1, [':status', '200'], END_STREAM),
    ],
    ['informational 100', 'informational 103', 'response 200 ended', 'end', 'close'],
    [],
  ],
  [
    '8.1 trailers',
    [OK, data(1, 'a'), headers(1, ['x', 'y'], END_STREAM)],
    ['response 200', 'data a', 'trailers x=y', 'end', 'close'],
    [],
  ],
  ['8.1 an informational one that ends', [headers(1, [':status', '100'], END_STREAM)], ...bad],
  ['8.1 DATA before HEADERS', [data(1, 'a')], ...bad],
  ['8.1 an end before HEADERS', [data(1, '', END_STREAM)], ...bad],
  ['8.3.2 no :status', [headers(1, ['x', 'y'])], ...bad],
  ['8.3.2 :status 99', [headers(1, [':status', '099'])], ...bad],
  ['8.3 :path in a response', [headers(1, [':status', '200', ':path', '/'])], ...bad],
  ['8.6 :status 101', [headers(1, [':status', '101'])], ...bad],
  ['8.2.2 connection', [headers(1, [':status', '200', 'connection', 'close'])], ...bad],
  [
    '8.1.1 content-length without content',
    [headers(1, [':status', '200', 'content-length', '3'], END_STREAM)],
    ...bad,
  ],
  [
    '8.1.1 304 with content-length',
    [headers(1, [':status', '304', 'content-length', '3'], END_STREAM)],
    ['response 304 ended', 'end', 'close'],
    [],
  ],
  [
    '8.1.1 less than content-length',
    [headers(1, [':status', '200', 'content-length', '3']), data(1, 'a', END_STREAM)],
    ['response 200', 'data a', 'close H2_PROTOCOL'],
    ['RST_STREAM 1 PROTOCOL_ERROR'],
  ],
  [
    '8.4 PUSH_PROMISE',
    [frame(FRAME.PUSH_PROMISE, 1, '\0\0\0\x02', FLAG.END_HEADERS)],
    ...broken('PROTOCOL_ERROR'),
  ],
  [
    '5.1.1 a stream that the server opens',
    [headers(2, [':status', '200'])],
    ...broken('PROTOCOL_ERROR'),
  ],
  [
    '5.1.1 a stream that was never opened',
    [headers(3, [':status', '200'])],
    ...broken('PROTOCOL_ERROR'),
  ],
  [
    '5.1 DATA after END_STREAM',
    [headers(1, [':status', '200'], END_STREAM), data(1, 'a')],
    ['response 200 ended', 'end', 'close'],
    ['GOAWAY 0 STREAM_CLOSED'],
  ],
  ['6.5.2 ENABLE_PUSH 1 of a server', [settings([2, 1])], ...broken('PROTOCOL_ERROR')],
  ['6.4 REFUSED_STREAM', [reset(1, 7)], ['none H2_REFUSED', 'close H2_REFUSED'], []],
  ['6.4 CANCEL', [reset(1, 8)], ['none PROXY_PEER_GONE', 'close PROXY_PEER_GONE'], []],
  ['6.4 INTERNAL_ERROR', [reset(1, 2)], ['none H2_STREAM_RESET', 'close H2_STREAM_RESET'], []],
  [
    '6.8 GOAWAY before it',
    [goaway(0)],
    ['none H2_REFUSED', 'close H2_REFUSED'],
    ['GOAWAY 0 NO_ERROR'],
  ],
  [
    '6.8 GOAWAY after it',
    [goaway(1), OK, data(1, '', END_STREAM)],
    ['response 200', 'end', 'close'],
    ['GOAWAY 0 NO_ERROR'],
  ],
];

describe('ClientSession, RFC 9113', () => {
  for (const [name, frames, heard, said] of CASES) {
    it(name, async () => {
      const rig = await asked();
      rig.peer.send(...frames);
      assert.deepEqual(await rig.peer.answers(), said);
      assert.deepEqual(rig.heard.events, heard);
    });
  }

  it('3.4 begins with the preface, and asks without waiting', async () => {
    const { peer, session } = clientRig();
    session.request(TUNNEL, new Heard());
    assert.equal(session.isEstablished, false);
    assert.deepEqual(await peer.answers(), [
      'SETTINGS 2=0 6=65536',
      `WINDOW_UPDATE 0 ${16 * 1024 * 1024 - 65_535}`,
      'HEADERS 1 :method=CONNECT :authority=b:1',
    ]);
  });

  it('8.5 carries bytes both ways through CONNECT, each direction to its own end', async () => {
    const { peer, heard, stream } = await asked(TUNNEL, false);
    peer.send(headers(1, [':status', '200', 'content-length', '1']), data(1, 'abc', END_STREAM));
    stream.write(Buffer.from('one'));
    assert.deepEqual(await peer.answers(), ['DATA 1 3']);
    assert.deepEqual(heard.events, ['response 200', 'data abc', 'end']);
    stream.write(Buffer.from('two'));
    stream.end();
    assert.deepEqual(await peer.answers(), ['DATA 1 3 end']);
    assert.deepEqual(heard.events.at(-1), 'close');
  });

  it('8.5 takes no trailers of a tunnel', async () => {
    const { peer, heard } = await asked(TUNNEL, false);
    peer.send(OK, headers(1, ['x', 'y'], END_STREAM));
    assert.deepEqual(await peer.answers(), ['RST_STREAM 1 PROTOCOL_ERROR']);
    assert.deepEqual(heard.events, ['response 200', 'close H2_PROTOCOL']);
  });

  it('8.1 takes a HEAD response with content-length', async () => {
    const { peer, heard } = await asked({ ...REQUEST, method: 'HEAD' });
    peer.send(headers(1, [':status', '200', 'content-length', '9'], END_STREAM));
    await peer.answers();
    assert.deepEqual(heard.events, ['response 200 ended', 'end', 'close']);
  });

  it('8.1 keeps a whole answer of a server that asks it to stop', async () => {
    const { peer, heard, stream } = await asked({ ...REQUEST, method: 'POST' }, false);
    peer.send(OK, data(1, 'no', END_STREAM), reset(1, 0));
    await peer.answers();
    assert.deepEqual(heard.events, ['response 200', 'data no', 'end', 'close PROXY_PEER_GONE']);
    assert.equal(stream.resetCode, 0);
    assert.equal(stream.write(Buffer.from('x')), true);
    assert.deepEqual(await peer.answers(), []);
  });

  it('says why it does not ask', async () => {
    const { peer, session } = clientRig();
    peer.greetAsServer([3, 1]);
    await peer.answers();
    const heard = new Heard();
    assert.throws(
      () => session.request({ ...REQUEST, fields: ['X', 'y'] }, heard),
      isCode('H2_BAD_FIELD'),
    );
    session.request(REQUEST, heard);
    assert.deepEqual([session.room, session.openStreams], [0, 1]);
    assert.throws(() => session.request(REQUEST, heard), isCode('H2_LIMIT'));
    peer.send(settings([3, 5]));
    await peer.answers();
    assert.equal(session.room, 4);
    session.drain();
    assert.throws(() => session.request(REQUEST, heard), isCode('H2_CLOSED'));
    assert.deepEqual(heard.events, []);
  });

  it('closes when its last stream has ended', async () => {
    const { peer, heard, session, closed } = await asked();
    session.drain();
    assert.deepEqual(await peer.answers(), []);
    peer.send(OK, data(1, 'abc', END_STREAM));
    assert.deepEqual(await peer.answers(), ['GOAWAY 0 NO_ERROR']);
    assert.deepEqual(heard.events, ['response 200', 'data abc', 'end', 'close']);
    assert.deepEqual(closed, [undefined]);
  });

  it('tells every stream when the connection is lost, and delivers what came in order', async () => {
    const { peer, heard, session, closed } = await asked();
    const other = new Heard();
    const second = session.request(REQUEST, other, { endStream: true });
    const reader = new Recorder();
    second.pause();
    second.start(reader);
    peer.send(headers(3, [':status', '200']), data(3, 'whole', END_STREAM));
    await peer.answers();
    peer.end();
    await peer.answers();
    assert.deepEqual(heard.events, ['none PROXY_PEER_GONE', 'close PROXY_PEER_GONE']);
    assert.equal(closed[0]?.code, 'PROXY_PEER_GONE');
    assert.deepEqual(reader.events, []);
    second.resume();
    assert.deepEqual([reader.text, ...reader.events], ['whole', 'data', 'end', 'close']);
  });

  it('counts what comes for streams that are over in the window of the connection', async () => {
    const { peer, stream } = await asked({ ...REQUEST, method: 'POST' }, false);
    stream.destroy();
    assert.deepEqual(await peer.answers(), ['RST_STREAM 1 CANCEL']);
    for (let sent = 0; sent < 8 * 1024 * 1024; sent += 16_384) {
      peer.send(data(1, new Uint8Array(16_384)));
    }
    peer.send(ping());
    const all = await until(peer, 'PING ack');
    assert.ok(
      all.some((text) => text.startsWith('WINDOW_UPDATE 0 8')),
      all.join(),
    );
  });

  it('uses windows of the server', async () => {
    const { peer, stream } = await asked({ ...REQUEST, method: 'POST' }, false);
    stream.write(Buffer.alloc(70_000));
    stream.end();
    await peer.answers();
    assert.equal(peer.dataBytes, 65_535);
    peer.send(windowUpdate(1, 100_000), windowUpdate(0, 1));
    await peer.answers();
    assert.equal(peer.dataBytes, 65_536);
    peer.send(windowUpdate(0, 100_000));
    assert.deepEqual(await peer.answers(), ['DATA 1 4464 end']);
  });
});

function isCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof H2Error && error.code === code;
}

async function until(peer: { answers(): Promise<string[]> }, text: string): Promise<string[]> {
  const all: string[] = [];
  while (!all.some((one) => one.startsWith(text))) {
    all.push(...(await peer.answers()));
  }
  return all;
}
