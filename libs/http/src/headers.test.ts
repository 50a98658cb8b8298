import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderList } from './headers.ts';

describe('HeaderList', () => {
  it('keeps order and repetition, and joins for readers', () => {
    const list = HeaderList.of(['a', '1', 'b', '2', 'a', '3', 'cookie', 'x=1', 'cookie', 'y=2']);
    assert.equal(list.get('a'), '1,3');
    assert.equal(list.get('cookie'), 'x=1; y=2');
    assert.equal(list.get('c'), undefined);
    assert.deepEqual([list.has('b'), list.has('c')], [true, false]);
    assert.equal(list.count('a'), 2);
    assert.deepEqual([list.repeated('a'), list.repeated('b')], [['1', '3'], undefined]);
    list.set('A', '4');
    assert.equal(list.get('a'), '4');
    assert.deepEqual(
      [...list],
      [
        ['b', '2'],
        ['cookie', 'x=1'],
        ['cookie', 'y=2'],
        ['a', '4'],
      ],
    );
  });

  it('makes one of the pieces of a cookie', () => {
    for (const [pieces, joined] of [
      [['a=1'], 'a=1'],
      [['a=1', 'b=2'], 'a=1; b=2'],
      [['', ''], ';'],
      [['a=1', ''], 'a=1;'],
    ] as const) {
      const list = HeaderList.of(pieces.flatMap((piece) => ['cookie', piece]));
      list.joinCookies();
      assert.deepEqual(list.lines, ['cookie', joined]);
    }
  });

  it('cuts what only proxies write, also where a server reads another spelling as the same', () => {
    const forged = [
      'x-forwarded-client-cert',
      'x_forwarded_client_cert',
      'x-forwarded_client-cert',
      'x-ambit-source',
      'x_ambit_source',
      'x-envoy-peer',
      'x_envoy_peer',
    ];
    const kept = ['x-forwarded-client-certs', 'x_request_id', 'ambit-x'];
    const list = HeaderList.of([...forged, ...kept].flatMap((name) => [name, '1']));
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
    const list = HeaderList.of(['__proto__', 'x', 'constructor', 'y']);
    assert.equal(list.get('__proto__'), 'x');
    assert.equal(list.get('tostring'), undefined);
    list.set('__proto__', 'z');
    assert.deepEqual(list.lines, ['constructor', 'y', '__proto__', 'z']);
  });
});
