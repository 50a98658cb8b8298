import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { findKind, kindNames } from './kinds.ts';

describe('findKind', () => {
  const plurals = [
    ['gateways', 'Gateway'],
    ['authorizationpolicies', 'AuthorizationPolicy'],
    ['serviceentries', 'ServiceEntry'],
    ['virtualservices', 'VirtualService'],
    ['HTTPRoutes', 'HTTPRoute'],
    ['gtw', 'Gateway'],
  ] as const;
  for (const [typed, kind] of plurals) {
    it(`reads ${typed} as ${kind}`, () => assert.equal(findKind(typed)?.kind, kind));
  }

  for (const typed of ['', 'gatewaies', 'virtualservicess', 'y', 'constructor']) {
    it(`knows no "${typed}"`, () => assert.equal(findKind(typed), undefined));
  }

  it('reads every kind by its own name', () => {
    for (const { kind } of kindNames()) assert.equal(findKind(kind)?.kind, kind);
  });
});
