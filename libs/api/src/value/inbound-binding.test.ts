import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { parseInboundBinding } from './inbound-binding.ts';

describe('parseInboundBinding', () => {
  for (const [text, protocol, port] of [
    ['PROXY/15088', 'PROXY', 15_088],
    ['PROXY', 'PROXY', 0],
    ['PROXY/1', 'PROXY', 1],
    ['PROXY/65535', 'PROXY', 65_535],
    ['NONE', 'NONE', 0],
    ['NONE/8080', 'NONE', 8080],
  ] as const) {
    it(`takes ${text}`, () => assert.deepEqual(parseInboundBinding(text), { protocol, port }));
  }

  for (const text of [
    '',
    'proxy/15088',
    'PROXY/',
    'PROXY/0',
    'PROXY/015088',
    'PROXY/65536',
    'PROXY/-1',
    'PROXY/1e3',
    'PROXY/15088/1',
    'PROXY/http',
    'PROXY 15088',
    ' PROXY',
    'PROXY/15088\n',
    'HBONE/15008',
    'TCP',
    'PROXY/15001',
    'PROXY/15006',
    'PROXY/15008',
    'NONE/15053',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.equal(parseInboundBinding(text), undefined);
    });
  }

  it('takes nothing but what it would write itself', () => {
    const near = fc.stringMatching(/^(?:NONE|PROXY|proxy|)[/ ]?[0-9a-f]{0,6}\/?$/);
    fc.assert(
      fc.property(fc.oneof(near, fc.string()), (text) => {
        const found = parseInboundBinding(text);
        if (found === undefined) return;
        const { protocol, port } = found;
        assert.equal(port === 0 ? protocol : `${protocol}/${port}`, text);
        assert.ok(port >= 0 && port <= 65_535);
      }),
    );
  });
});
