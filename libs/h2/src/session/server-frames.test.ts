/** RFC 9113 by paragraph at a server: frames in, frames out. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FLAG, FRAME, PREFACE } from '../frames/protocol.ts';
import { echo } from '../testing/echo-server.ts';
import { frame } from '../testing/frames.ts';
import {
  block,
  data,
  GET,
  get,
  goaway,
  headers,
  ping,
  post,
  reset,
  SETTINGS_ACK,
  settings,
  settled,
  windowUpdate,
} from '../testing/raw-peer.ts';
import { serverRig } from '../testing/sessions.ts';

const { END_STREAM } = FLAG;
const MAX = 2 ** 31 - 1;

/** What is answered after the greetings. */
async function answersTo(...frames: readonly Uint8Array[]): Promise<string[]> {
  const { peer } = serverRig({ onStream: echo });
  peer.greetAsClient();
  await peer.answers();
  peer.send(...frames);
  const answers = await peer.answers();
  return peer.isEnded ? [...answers, 'closed'] : answers;
}

const failed = (code: string, last = 1): string[] => [`GOAWAY ${last} ${code}`, 'closed'];
const wasReset = (code: string): string[] => [`RST_STREAM 1 ${code}`];
const OK = 'HEADERS 1 :status=200 content-type=text/plain';
const NOTHING = [OK, 'DATA 1 16 end'];

const CASES: readonly (readonly [string, readonly Uint8Array[], readonly string[]])[] = [
  // §5.1: states.
  ['5.1 a request', [get(1)], NOTHING],
  ['5.1 a request with a body', [post(1), data(1, 'abc', END_STREAM)], [OK, 'DATA 1 3 end']],
  ['5.1 idle: DATA', [data(1, 'a')], failed('PROTOCOL_ERROR', 0)],
  ['5.1 idle: RST_STREAM', [reset(1)], failed('PROTOCOL_ERROR', 0)],
  ['5.1 idle: WINDOW_UPDATE', [windowUpdate(1, 1)], failed('PROTOCOL_ERROR', 0)],
  ['5.1 idle: PRIORITY', [frame(FRAME.PRIORITY, 1, '\0\0\0\x03\0'), get(1)], NOTHING],
  [
    '5.1 half-closed: DATA',
    [post(1), data(1, '', END_STREAM), data(1, 'a')],
    [OK, ...wasReset('STREAM_CLOSED')],
  ],
  [
    '5.1 reset by the peer: DATA',
    [post(1), reset(1), data(1, 'a')],
    [OK, 'RST_STREAM 1 STREAM_CLOSED'],
  ],
  [
    '5.1 reset by the peer: HEADERS',
    [post(1), reset(1), post(1)],
    [OK, 'RST_STREAM 1 STREAM_CLOSED'],
  ],
  ['5.1 reset by the peer: WINDOW_UPDATE', [post(1), reset(1), windowUpdate(1, 1)], [OK]],
  ['5.1 reset by the peer: RST_STREAM', [post(1), reset(1), reset(1)], [OK]],
  [
    '5.1 reset here, then by the peer too: DATA',
    [post(1), windowUpdate(1, 0), reset(1), data(1, 'x')],
    [OK, 'RST_STREAM 1 PROTOCOL_ERROR', 'RST_STREAM 1 STREAM_CLOSED'],
  ],
  ['5.1.1 an even number', [get(2)], failed('PROTOCOL_ERROR', 0)],
  [
    '5.1.1 a smaller number, skipped',
    [get(5), get(3)],
    ['HEADERS 5 :status=200 content-type=text/plain', ...failed('PROTOCOL_ERROR', 5)],
  ],
  [
    '5.1.1 DATA on a skipped number',
    [get(5), data(3, '')],
    ['HEADERS 5 :status=200 content-type=text/plain', ...failed('PROTOCOL_ERROR', 5)],
  ],
  [
    '5.3.1 HEADERS that depend on themselves',
    [
      frame(
        FRAME.HEADERS,
        1,
        Buffer.concat([Buffer.from([0, 0, 0, 1, 0]), block(GET)]),
        FLAG.END_HEADERS | FLAG.PRIORITY,
      ),
    ],
    wasReset('PROTOCOL_ERROR'),
  ],
  [
    '5.3.1 PRIORITY that depends on itself',
    [frame(FRAME.PRIORITY, 1, '\0\0\0\x01\0')],
    wasReset('PROTOCOL_ERROR'),
  ],
  // §6.5: settings.
  ['6.5 SETTINGS', [settings([3, 7])], ['SETTINGS ack']],
  ['6.5.2 ENABLE_PUSH 2', [settings([2, 2])], failed('PROTOCOL_ERROR', 0)],
  ['6.5.2 a window of 2^31', [settings([4, MAX + 1])], failed('FLOW_CONTROL_ERROR', 0)],
  ['6.5.2 a frame size of 16383', [settings([5, 16_383])], failed('PROTOCOL_ERROR', 0)],
  ['6.5.2 a frame size of 2^24', [settings([5, 2 ** 24])], failed('PROTOCOL_ERROR', 0)],
  ['6.5.2 an unknown setting', [settings([0xff, 9])], ['SETTINGS ack']],
  ['6.5.3 an acknowledgement of nothing', [SETTINGS_ACK, ping()], ['PING ack abcdefgh']],
  // §6.7, §6.8.
  ['6.7 PING', [ping()], ['PING ack abcdefgh']],
  [
    '6.7 an acknowledgement of nothing',
    [ping('abcdefgh', FLAG.ACK), ping()],
    ['PING ack abcdefgh'],
  ],
  ['6.8 GOAWAY without streams', [goaway(0)], ['GOAWAY 0 NO_ERROR', 'closed']],
  [
    '6.8 GOAWAY with an open stream',
    [post(1), goaway(0), data(1, 'a', END_STREAM)],
    [OK, 'DATA 1 1 end', 'GOAWAY 1 NO_ERROR', 'closed'],
  ],
  // §6.9: windows.
  ['6.9 WINDOW_UPDATE of 0 on the connection', [windowUpdate(0, 0)], failed('PROTOCOL_ERROR', 0)],
  [
    '6.9 WINDOW_UPDATE of 0 on a stream',
    [post(1), windowUpdate(1, 0)],
    [OK, ...wasReset('PROTOCOL_ERROR')],
  ],
  ['6.9.1 the connection beyond 2^31-1', [windowUpdate(0, MAX)], failed('FLOW_CONTROL_ERROR', 0)],
  [
    '6.9.1 a stream beyond 2^31-1',
    [post(1), windowUpdate(1, MAX)],
    [OK, ...wasReset('FLOW_CONTROL_ERROR')],
  ],
  [
    '6.9.2 a stream beyond 2^31-1 by SETTINGS',
    [post(1), windowUpdate(1, MAX - 65_535), settings([4, 65_536])],
    [OK, ...failed('FLOW_CONTROL_ERROR')],
  ],
  [
    '6.9.2 DATA within a window of 0, then of 5',
    [settings([4, 0]), get(1), settings([4, 5])],
    ['SETTINGS ack', OK, 'SETTINGS ack', 'DATA 1 5'],
  ],
  // §4.3.
  [
    '4.3 a block that is no HPACK',
    [frame(FRAME.HEADERS, 1, '\x80', FLAG.END_HEADERS)],
    failed('COMPRESSION_ERROR', 0),
  ],
  [
    '4.3 a block that is no HPACK, on a stream that is over',
    [post(1), reset(1), frame(FRAME.HEADERS, 1, '\x80', FLAG.END_HEADERS)],
    [OK, ...failed('COMPRESSION_ERROR')],
  ],
  // §8.1: messages.
  [
    '8.1 trailers',
    [post(1), headers(1, ['x', 'y'], END_STREAM)],
    [OK, 'DATA 1 16', 'HEADERS 1 x=y end'],
  ],
  [
    '8.5 trailers of a tunnel',
    [headers(1, [':method', 'CONNECT', ':authority', 'a:1']), headers(1, ['x', 'y'], END_STREAM)],
    [OK, ...wasReset('PROTOCOL_ERROR')],
  ],
  [
    '8.1 trailers that end nothing',
    [post(1), headers(1, ['x', 'y'])],
    [OK, ...wasReset('PROTOCOL_ERROR')],
  ],
  [
    '8.1 trailers with a pseudo-header field',
    [post(1), headers(1, [':path', '/'], END_STREAM)],
    [OK, ...wasReset('PROTOCOL_ERROR')],
  ],
  [
    '8.1.1 less than content-length',
    [post(1, ['content-length', '4']), data(1, 'abc', END_STREAM)],
    [OK, ...wasReset('PROTOCOL_ERROR')],
  ],
  [
    '8.1.1 more than content-length',
    [post(1, ['content-length', '2']), data(1, 'abc')],
    [OK, ...wasReset('PROTOCOL_ERROR')],
  ],
  [
    '8.1.1 content-length and no body',
    [headers(1, [...GET, 'content-length', '1'], END_STREAM)],
    wasReset('PROTOCOL_ERROR'),
  ],
  [
    '8.1.1 content-length kept, in padded parts',
    [
      post(1, ['content-length', '3']),
      data(1, '\x02a\0\0', FLAG.PADDED),
      data(1, 'bc', END_STREAM),
    ],
    [OK, 'DATA 1 3 end'],
  ],
];

describe('ServerSession, RFC 9113', () => {
  for (const [name, frames, answers] of CASES) {
    it(name, async () => {
      assert.deepEqual(await answersTo(...frames), answers);
    });
  }

  it('3.4 says SETTINGS before the client says anything, and opens the connection', async () => {
    const { peer } = serverRig();
    assert.deepEqual(await peer.answers(), [
      'SETTINGS 3=200 6=65536',
      `WINDOW_UPDATE 0 ${16 * 1024 * 1024 - 65_535}`,
    ]);
  });

  it('3.4 refuses another protocol', async () => {
    const { peer, closed, counters } = serverRig();
    peer.send(Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n'));
    assert.deepEqual((await peer.answers()).slice(2), ['GOAWAY 0 PROTOCOL_ERROR']);
    assert.deepEqual([peer.isEnded, counters.protocolErrors], [true, 1]);
    assert.equal(closed[0]?.code, 'H2_PROTOCOL');
  });

  it('5.1 ends the connection for frames after END_STREAM of both sides', async () => {
    const { peer } = serverRig({ onStream: echo });
    peer.greetAsClient();
    peer.send(get(1));
    await peer.answers();
    peer.send(windowUpdate(1, 1), reset(1));
    assert.deepEqual(await peer.answers(), [], 'these may still be on their way');
    peer.send(data(1, ''));
    assert.deepEqual(await peer.answers(), ['GOAWAY 1 STREAM_CLOSED']);
  });

  it('5.1 ignores what was on its way when it reset a stream', async () => {
    const { peer, streams, session } = serverRig();
    peer.greetAsClient();
    peer.send(post(1));
    await peer.answers();
    streams[0]?.reset(0xb);
    peer.send(
      data(1, 'late'),
      headers(1, ['x', 'y'], END_STREAM),
      windowUpdate(1, 1),
      reset(1),
      ping(),
    );
    assert.deepEqual(await peer.answers(), ['RST_STREAM 1 ENHANCE_YOUR_CALM', 'PING ack abcdefgh']);
    assert.equal(session.openStreams, 0);
  });

  it('5.1 forgives frames on streams that it does not remember', async () => {
    const { peer } = serverRig({ onStream: echo, limits: { closedStreamsMax: 2 } });
    peer.greetAsClient();
    peer.send(get(1), get(3), get(5), get(7));
    await peer.answers();
    peer.send(data(1, 'a'), get(1));
    assert.deepEqual(await peer.answers(), ['RST_STREAM 1 STREAM_CLOSED']);
  });

  it('5.1.2 refuses streams beyond its number, which may be tried again', async () => {
    const { peer, counters, streams } = serverRig({ limits: { streamsMax: 1 } });
    peer.greetAsClient();
    await peer.answers();
    peer.send(post(1), post(3), data(3, 'a'), reset(1), post(5));
    assert.deepEqual(await peer.answers(), ['RST_STREAM 3 REFUSED_STREAM']);
    assert.deepEqual([counters.refusedStreams, streams.length], [1, 2]);
  });

  it('6.9.2 takes the difference of windows from open streams, below zero too', async () => {
    const { peer } = serverRig({ onStream: echo });
    peer.greetAsClient([4, 10]);
    peer.send(post(1), data(1, '0123456789abcdef'));
    assert.equal((await peer.answers()).at(-1), 'DATA 1 10');
    peer.send(settings([4, 3]), windowUpdate(1, 7));
    assert.deepEqual(await peer.answers(), ['SETTINGS ack']);
    peer.send(windowUpdate(1, 4));
    assert.deepEqual(await peer.answers(), ['DATA 1 4']);
  });

  it('6.9 holds back what the connection has no window for, in turns', async () => {
    const { peer, streams } = serverRig();
    peer.greetAsClient([4, 1 << 20]);
    peer.send(get(1), get(3));
    await peer.answers();
    for (const stream of streams) {
      stream.respond({ status: 200, fields: [] });
      stream.write(Buffer.alloc(100_000));
      stream.end();
    }
    await peer.answers();
    assert.equal(peer.dataBytes, 65_535);
    peer.send(windowUpdate(0, 1 << 20));
    const rest = await peer.answers();
    assert.equal(peer.dataBytes, 200_000);
    assert.equal(rest.filter((text) => text.endsWith(' end')).length, 2);
  });

  it('8.1 answers in full and asks the client to stop', async () => {
    const { peer, streams, session } = serverRig();
    peer.greetAsClient();
    peer.send(post(1), post(3), get(5));
    await peer.answers();
    const [first, second, third] = streams;
    first?.respond({ status: 413, fields: [] }, { end: true });
    first?.endEarly();
    second?.respond({ status: 200, fields: [] });
    second?.write(Buffer.from('enough'));
    second?.endEarly();
    third?.respond({ status: 204, fields: [] }, { end: true });
    third?.endEarly();
    assert.deepEqual((await peer.answers()).sort(), [
      'DATA 3 6 end',
      'HEADERS 1 :status=413 end',
      'HEADERS 3 :status=200',
      'HEADERS 5 :status=204 end',
      'RST_STREAM 1 NO_ERROR',
      'RST_STREAM 3 NO_ERROR',
    ]);
    assert.equal(session.openStreams, 0);
  });

  it('answers 431 to more fields than it takes, and goes on', async () => {
    const { peer, streams, counters } = serverRig({ limits: { headerListBytesMax: 500 } });
    peer.greetAsClient();
    await peer.answers();
    peer.send(
      headers(1, [...GET, 'x', 'y'.repeat(500)], END_STREAM),
      post(3, ['x', 'y'.repeat(500)]),
    );
    peer.send(data(3, 'late'), get(5));
    assert.deepEqual(await peer.answers(), [
      'HEADERS 1 :status=431 end',
      'HEADERS 3 :status=431 end',
      'RST_STREAM 3 NO_ERROR',
    ]);
    assert.deepEqual([counters.oversizeHeaders, streams.length], [2, 1]);
  });

  it('sends informational answers before the final one', async () => {
    const { peer, streams } = serverRig();
    peer.greetAsClient();
    peer.send(post(1));
    await peer.answers();
    streams[0]?.sendInformational({ status: 100, fields: [] });
    streams[0]?.respond({ status: 204, fields: ['a', 'b'] }, { end: true });
    streams[0]?.sendInformational({ status: 100, fields: [] });
    assert.deepEqual(await peer.answers(), [
      'HEADERS 1 :status=100',
      'HEADERS 1 :status=204 a=b end',
    ]);
    assert.throws(() => streams[0]?.respond({ status: 200, fields: [] }), /twice/);
    assert.throws(() => streams[0]?.sendInformational({ status: 200, fields: [] }), RangeError);
    assert.throws(() => streams[0]?.sendInformational({ status: 101, fields: [] }), RangeError);
  });

  it('splits a large block into CONTINUATION frames that a peer puts together', async () => {
    const { peer, streams } = serverRig();
    peer.greetAsClient();
    peer.send(get(1));
    await peer.answers();
    const value = '~'.repeat(40_000);
    streams[0]?.respond({ status: 200, fields: ['x', value] }, { end: true });
    assert.deepEqual(await peer.answers(), [`HEADERS 1 :status=200 x=${value} end`]);
  });

  it('sends nothing of a message with a field that may not be sent', async () => {
    const { peer, streams } = serverRig();
    peer.greetAsClient();
    peer.send(get(1));
    await peer.answers();
    const [stream] = streams;
    assert.throws(
      () => stream?.respond({ status: 200, fields: ['x', 'a\r\nb: c'] }),
      /H2Error|cannot be sent/,
    );
    assert.throws(() => stream?.sendTrailers(['x', 'a\nb']), /cannot be sent/);
    stream?.respond({ status: 500, fields: [] }, { end: true });
    assert.deepEqual(await peer.answers(), ['HEADERS 1 :status=500 end']);
  });

  it('ends with GOAWAY when a callback throws, and says so', async () => {
    const { peer, closed, counters } = serverRig({
      onStream: () => {
        throw new Error('a bug');
      },
    });
    peer.greetAsClient();
    await peer.answers();
    peer.send(get(1));
    assert.deepEqual(await peer.answers(), ['GOAWAY 1 INTERNAL_ERROR']);
    await settled();
    assert.deepEqual([closed[0]?.code, counters.callbackErrors], ['H2_INTERNAL', 1]);
  });

  it('ends with GOAWAY when a reader throws for what was held', async () => {
    const { peer, counters, streams } = serverRig();
    peer.greetAsClient();
    peer.send(post(1), data(1, 'held'));
    await peer.answers();
    streams[0]?.start({
      onData: () => {
        throw new Error('a bug');
      },
      onEnd: () => undefined,
      onDrain: () => undefined,
      onClose: () => undefined,
    });
    assert.deepEqual(await peer.answers(), ['GOAWAY 1 INTERNAL_ERROR']);
    assert.equal(counters.callbackErrors, 1);
  });

  it('takes the preface in any parts', async () => {
    const { peer, streams } = serverRig({ onStream: echo });
    for (const byte of Buffer.concat([PREFACE, settings(), get(1)])) {
      peer.send(Uint8Array.of(byte));
    }
    await settled(200);
    assert.equal(streams.length, 1);
  });
});
