/**
 * RFC 9113 §8.2 and §8.3 by paragraph at a server: which requests it takes, and as what. One that is malformed ends its stream
 * before anybody sees it, and nothing else.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FLAG } from '../frames/protocol.ts';
import type { RequestHead } from '../message.ts';
import { echo } from '../testing/echo-server.ts';
import { get, headers } from '../testing/raw-peer.ts';
import { serverRig } from '../testing/sessions.ts';

const METHOD = [':method', 'GET'];
const SCHEME = [':scheme', 'http'];
const PATH = [':path', '/'];
const AUTHORITY = [':authority', 'a'];
const GET = [...METHOD, ...SCHEME, ...PATH, ...AUTHORITY];
const REFUSED = 'refused';
const TOKEN = "!#$%&'*+-.^_`|~0a";

const withField = (name: string, value: string): string[] => [...GET, name, value];
const withPath = (path: string, method = 'GET'): string[] => [
  ...[':method', method],
  ...SCHEME,
  ...[':path', path],
  ...AUTHORITY,
];
const withAuthority = (authority: string): string[] => [
  ...METHOD,
  ...SCHEME,
  ...PATH,
  ...[':authority', authority],
];
const named = (method: string): string[] => [':method', method, ...SCHEME, ...PATH, ...AUTHORITY];
const connect = (...fields: readonly string[]): string[] => [':method', 'CONNECT', ...fields];

/** What a program is told of the request: method, path, authority and fields; or that nobody hears of it. */
const CASES: readonly (readonly [name: string, fields: readonly string[], expected: string])[] = [
  // §8.2.1: names and values.
  ['8.2.1 a field', withField('x-a', 'b'), 'GET / a x-a=b'],
  ['8.2.1 every other character of a name', withField(TOKEN, ''), `GET / a ${TOKEN}=`],
  [
    '8.2.1 a tab and bytes above 0x7f within a value',
    withField('x', 'a\t\xff b'),
    'GET / a x=a\t\xff b',
  ],
  ['8.2.1 an empty value', withField('x', ''), 'GET / a x='],
  ['8.2.1 an upper-case letter in a name', withField('X-a', 'b'), REFUSED],
  ['8.2.1 a name of none', withField('', 'b'), REFUSED],
  ['8.2.1 a colon within a name', withField('x:a', 'b'), REFUSED],
  ['8.2.1 a blank in a name', withField('x a', 'b'), REFUSED],
  ['8.2.1 a control character in a name', withField('x\x01', 'b'), REFUSED],
  ['8.2.1 DEL in a name', withField('x\x7f', 'b'), REFUSED],
  ['8.2.1 a byte above 0x7f in a name', withField('x\x80', 'b'), REFUSED],
  ['8.2.1 CR LF in a name', withField('x: 1\r\ny', 'b'), REFUSED],
  ['8.2.1 NUL in a value', withField('x', 'a\0b'), REFUSED],
  ['8.2.1 CR in a value', withField('x', 'a\rb'), REFUSED],
  ['8.2.1 LF in a value', withField('x', 'a\nb'), REFUSED],
  ['8.2.1 CR LF and a field in a value', withField('x', 'a\r\ncontent-length: 9'), REFUSED],
  ['8.2.1 a blank before a value', withField('x', ' a'), REFUSED],
  ['8.2.1 a tab after a value', withField('x', 'a\t'), REFUSED],
  ['8.2.1 CR LF in a pseudo-header field', withPath('/ HTTP/1.1\r\nx: y'), REFUSED],
  // §8.2.2: fields of one connection of HTTP/1.1.
  ['8.2.2 te: trailers', withField('te', 'trailers'), 'GET / a te=trailers'],
  ['8.2.2 te: trailers, in other letters', withField('te', 'Trailers'), 'GET / a te=Trailers'],
  ['8.2.2 a name that only begins so', withField('connections', 'x'), 'GET / a connections=x'],
  ['8.2.2 connection', withField('connection', 'close'), REFUSED],
  ['8.2.2 connection, empty', withField('connection', ''), REFUSED],
  ['8.2.2 keep-alive', withField('keep-alive', 'timeout=5'), REFUSED],
  ['8.2.2 proxy-connection', withField('proxy-connection', 'keep-alive'), REFUSED],
  ['8.2.2 transfer-encoding', withField('transfer-encoding', 'chunked'), REFUSED],
  ['8.2.2 transfer-encoding: identity', withField('transfer-encoding', 'identity'), REFUSED],
  ['8.2.2 upgrade', withField('upgrade', 'h2c'), REFUSED],
  ['8.2.2 te: gzip', withField('te', 'gzip'), REFUSED],
  ['8.2.2 te: trailers and more', withField('te', 'trailers, gzip'), REFUSED],
  // §8.3: pseudo-header fields.
  ['8.3 in any order', [...AUTHORITY, ...PATH, ...METHOD, ...SCHEME], 'GET / a '],
  ['8.3 one after a field', [...METHOD, ...SCHEME, 'x', 'y', ...PATH, ...AUTHORITY], REFUSED],
  ['8.3 one twice', [...GET, ...PATH], REFUSED],
  ['8.3 one twice, not the same', [...METHOD, ...GET.slice(2), ':method', 'PUT'], REFUSED],
  ['8.3 one that is not known', [...GET, ':protocol', 'websocket'], REFUSED],
  ['8.3 one of answers', [...GET, ':status', '200'], REFUSED],
  ['8.3 one of an upper-case letter', [':Method', 'GET', ...GET.slice(2)], REFUSED],
  ['8.3 one without a name', [...GET, ':', 'x'], REFUSED],
  // §8.3.1: those of requests.
  ['8.3.1 no :method', [...SCHEME, ...PATH, ...AUTHORITY], REFUSED],
  ['8.3.1 a method of its own', named('X-FETCH'), 'X-FETCH / a '],
  ['8.3.1 an empty :method', named(''), REFUSED],
  ['8.3.1 a :method that is no token', named('GET /admin'), REFUSED],
  ['8.3.1 no :scheme', [...METHOD, ...PATH, ...AUTHORITY], REFUSED],
  ['8.3.1 another scheme', [...METHOD, ':scheme', 'coap+tcp', ...PATH, ...AUTHORITY], 'GET / a '],
  ['8.3.1 a :scheme that is none', [...METHOD, ':scheme', '1:', ...PATH, ...AUTHORITY], REFUSED],
  ['8.3.1 no :path', [...METHOD, ...SCHEME, ...AUTHORITY], REFUSED],
  ['8.3.1 a :path with a query', withPath('/a/b?c=/d?e'), 'GET /a/b?c=/d?e a '],
  ['8.3.1 two slashes', withPath('//b/c'), 'GET //b/c a '],
  ['8.3.1 an empty :path', withPath(''), REFUSED],
  ['8.3.1 a :path in absolute form', withPath('http://a/admin'), REFUSED],
  ['8.3.1 a :path in absolute form, of another host', withPath('http://b/'), REFUSED],
  ['8.3.1 a :path in absolute form, in other letters', withPath('HTTPS://a/'), REFUSED],
  ['8.3.1 a :path in authority form', withPath('a:80'), REFUSED],
  ['8.3.1 a :path without a slash', withPath('admin'), REFUSED],
  ['8.3.1 a :path that is a query', withPath('?x'), REFUSED],
  ['8.3.1 the asterisk of OPTIONS', withPath('*', 'OPTIONS'), 'OPTIONS * a '],
  ['8.3.1 the asterisk of GET', withPath('*'), REFUSED],
  ['8.3.1 more than the asterisk', withPath('*/x', 'OPTIONS'), REFUSED],
  ['8.3.1 a fragment', withPath('/a#b'), REFUSED],
  ['8.3.1 a blank in a :path', withPath('/a HTTP/1.1'), REFUSED],
  ['8.3.1 no :authority', [...METHOD, ...SCHEME, ...PATH], 'GET /  '],
  ['8.3.1 host in its place', [...METHOD, ...SCHEME, ...PATH, 'host', 'b'], 'GET / b host=b'],
  ['8.3.1 host, the same', withField('host', 'a'), 'GET / a host=a'],
  ['8.3.1 host, the same in other letters', withField('host', 'A'), 'GET / a host=A'],
  ['8.3.1 host, another', withField('host', 'b'), REFUSED],
  ['8.3.1 host, another by its port', withField('host', 'a:80'), REFUSED],
  ['8.3.1 host twice', [...GET, 'host', 'a', 'host', 'a'], REFUSED],
  ['8.3.1 an :authority with a port', withAuthority('[fd00::1]:9080'), 'GET / [fd00::1]:9080 '],
  ['8.3.1 an :authority with userinfo', withAuthority('u@a'), REFUSED],
  ['8.3.1 an :authority with a path', withAuthority('a/admin'), REFUSED],
  ['8.3.1 an :authority with a blank', withAuthority('a b'), REFUSED],
  // §8.5: CONNECT has no other target.
  ['8.5 CONNECT', connect(':authority', 'a:1'), 'CONNECT  a:1 '],
  ['8.5 CONNECT with :path', connect(':authority', 'a:1', ...PATH), REFUSED],
  ['8.5 CONNECT with :scheme', connect(':authority', 'a:1', ...SCHEME), REFUSED],
  ['8.5 CONNECT without :authority', connect('host', 'a:1'), REFUSED],
];

describe('ServerSession, requests of RFC 9113', () => {
  for (const [name, fields, expected] of CASES) {
    it(`${name}: ${expected === REFUSED ? 'refused' : 'taken'}`, async () => {
      const requests: RequestHead[] = [];
      const { peer, counters } = serverRig({
        onStream: (stream) => {
          requests.push(stream.request);
          echo(stream);
        },
      });
      peer.greetAsClient();
      await peer.answers();
      peer.send(headers(1, fields, FLAG.END_STREAM), get(3));
      const answers = await peer.answers();
      const ofFirst = answers.filter((text) => / 1(?: |$)/.test(text));
      assert.ok(answers.includes('DATA 3 16 end'), 'the session goes on');
      if (expected === REFUSED) {
        assert.deepEqual(ofFirst, ['RST_STREAM 1 PROTOCOL_ERROR']);
        assert.deepEqual([requests.length, counters.streamErrors], [1, 1]);
        return;
      }
      const [request] = requests;
      const pairs = request?.fields.map((part, at) => (at % 2 === 0 ? `${part}=` : part)).join('');
      const { method, path = '', authority } = request ?? {};
      assert.equal(`${method} ${path} ${authority} ${pairs}`, expected);
      assert.equal(ofFirst.at(-1), 'DATA 1 16 end');
      assert.equal(counters.streamErrors, 0);
    });
  }
});
