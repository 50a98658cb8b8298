import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { grpcMethodPath } from './grpc-method.ts';

describe('grpcMethodPath', () => {
  const cases: readonly (readonly [string, Parameters<typeof grpcMethodPath>[0], string])[] = [
    ['nothing', undefined, 'PathPrefix /'],
    ['empty names', { type: 'Exact', service: '', method: '' }, 'PathPrefix /'],
    ['both', { type: 'Exact', service: 'a.B', method: 'C' }, 'Exact /a.B/C'],
    ['a service', { type: 'Exact', service: 'a.B' }, 'PathPrefix /a.B/'],
    ['a method', { type: 'Exact', method: 'C' }, 'RegularExpression /[^/]+/C'],
    [
      'patterns',
      { type: 'RegularExpression', service: 'a|b', method: 'C|D' },
      'RegularExpression /(?:a|b)/(?:C|D)',
    ],
    [
      'a pattern for the method',
      { type: 'RegularExpression', method: 'C.*' },
      'RegularExpression /[^/]+/(?:C.*)',
    ],
  ];
  for (const [title, match, expected] of cases) {
    it(`turns ${title} into ${expected}`, () => {
      const { type, value } = grpcMethodPath(match);
      assert.equal(`${type} ${value}`, expected);
    });
  }
});
