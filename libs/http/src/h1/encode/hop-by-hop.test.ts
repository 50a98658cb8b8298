import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withoutHopByHop } from './hop-by-hop.ts';

describe('withoutHopByHop', () => {
  it('gives the same list where there is nothing to take out', () => {
    const fields = ['a', '1', 'b', '2'];
    assert.equal(withoutHopByHop(fields, []), fields);
  });

  it('takes out what concerns the hop, and what Connection names', () => {
    const fields = [
      'connection',
      'x-hop, close',
      'kept',
      '1',
      'x-hop',
      '1',
      'keep-alive',
      'x',
      'te',
      'gzip, Trailers',
      'transfer-encoding',
      'chunked',
      'upgrade',
      'x',
      'trailer',
      'x',
      'proxy-authorization',
      'x',
      'x-hop',
      '2',
      'kept',
      '2',
    ];
    assert.deepEqual(withoutHopByHop(fields, ['x-hop', 'close']), [
      'kept',
      '1',
      'te',
      'trailers',
      'kept',
      '2',
    ]);
  });

  it('drops a TE that names no trailers', () => {
    assert.deepEqual(withoutHopByHop(['te', 'gzip, xtrailers'], []), []);
  });
});
