import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HeaderList } from './headers.ts';

describe('HeaderList', () => {
  it('keeps order and repetition, and joins for readers', () => {
    const list = HeaderList.fromRaw([
      'A',
      '1',
      'b',
      '2',
      'a',
      '3',
      'Cookie',
      'x=1',
      'cookie',
      'y=2',
    ]);
    assert.equal(list.get('a'), '1,3');
    assert.equal(list.get('cookie'), 'x=1; y=2');
    assert.equal(list.get('c'), undefined);
    assert.deepEqual({ ...list.toNode() }, { a: ['1', '3'], b: '2', cookie: 'x=1; y=2' });
    assert.equal(list.count('a'), 2);
    list.set('A', '4');
    assert.equal(list.get('a'), '4');
  });

  it('cuts what concerns the hop, and what connection names', () => {
    const list = HeaderList.fromRaw([
      'Connection',
      'keep-alive, X-Hop',
      'x-hop',
      '1',
      'Keep-Alive',
      'x',
      'TE',
      'trailers, gzip',
      'Transfer-Encoding',
      'chunked',
      'upgrade',
      'x',
      'proxy-authorization',
      'x',
      'kept',
      '1',
    ]);
    list.removeHopByHop();
    assert.deepEqual(
      [...list],
      [
        ['kept', '1'],
        ['te', 'trailers'],
      ],
    );
  });

  it('cuts what only proxies write, also where a server reads another spelling as the same', () => {
    const forged = [
      'X-Forwarded-Client-Cert',
      'x_forwarded_client_cert',
      'X-Forwarded_Client-Cert',
      'x-ambit-source',
      'x_ambit_source',
      'X-Envoy-Peer',
      'x_envoy_peer',
    ];
    const kept = ['x-forwarded-client-certs', 'x_request_id', 'ambit-x'];
    const list = HeaderList.fromRaw([...forged, ...kept].flatMap((name) => [name, '1']));
    list.removeInternal();
    assert.deepEqual(
      [...list].map(([name]) => name),
      kept,
    );
  });

  it('shares its list until it is changed, and never changes one that it gave away', () => {
    const lines = Object.freeze(['a', '1', 'b', '2']);
    const list = HeaderList.of(lines, ['a']);
    assert.equal(list.lines, lines);
    const copy = list.clone();
    assert.deepEqual(copy.neverIndexed, ['a']);
    copy.set('a', '3');
    const given = copy.lines;
    copy.add('c', '4');
    copy.remove('b');
    assert.deepEqual(list.lines, ['a', '1', 'b', '2']);
    assert.deepEqual(given, ['b', '2', 'a', '3']);
    assert.deepEqual(copy.lines, ['a', '3', 'c', '4']);
    assert.deepEqual([copy.size, copy.bytes], [2, 12]);
  });

  it('is not fooled by names of Object', () => {
    const list = HeaderList.fromRaw(['__proto__', 'x', 'constructor', 'y']);
    assert.equal(list.get('__proto__'), 'x');
    assert.deepEqual(Object.keys(list.toNode()), ['__proto__', 'constructor']);
    assert.equal(list.get('tostring'), undefined);
  });

  it('never loses a field on the way to node and back', () => {
    const name = fc.stringMatching(/^[a-z][a-z-]{0,6}$/).filter((text) => text !== 'cookie');
    const fields = fc.array(fc.tuple(name, fc.string()), { maxLength: 12 });
    fc.assert(
      fc.property(fields, (pairs) => {
        const list = HeaderList.fromRaw(pairs.flat());
        const back = HeaderList.fromNode(list.toNode());
        for (const [key] of pairs) {
          assert.equal(back.get(key), list.get(key));
        }
        assert.equal(back.size, list.size);
      }),
    );
  });
});
