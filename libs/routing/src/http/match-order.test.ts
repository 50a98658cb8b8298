/** The first rule in order that matches is the one that a request meets, however rules are looked up. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HttpMatchRequest, HttpRouteMatch } from '@ambit/api';
import fc from 'fast-check';
import {
  httpRoute,
  matchBlock,
  request,
  routeInput,
  routeMatch,
  routeRule,
  toSubset,
  virtualService,
} from '../testing-objects.ts';
import { compileHttpRoutes } from './compile.ts';
import { matchHttp } from './match.ts';
import type { HttpRouteGroup } from './route-table.ts';

const path = fc
  .string({ unit: fc.constantFrom('/', 'a', 'b', 'A'), maxLength: 5 })
  .map((rest) => `/${rest}`);
const method = fc.constantFrom('GET', 'PUT');
const block: fc.Arbitrary<HttpMatchRequest> = fc
  .record({
    uri: fc.option(
      fc.oneof(
        path.map((prefix) => ({ prefix })),
        path.map((exact) => ({ exact })),
        path.map((regex) => ({ regex: `${regex}.*` })),
      ),
      { nil: undefined },
    ),
    ignoreUriCase: fc.boolean(),
    method: fc.option(
      method.map((exact) => ({ exact })),
      { nil: undefined },
    ),
  })
  .map(({ uri, ignoreUriCase, method: wanted }) =>
    matchBlock({ ...(uri && { uri }), ignoreUriCase, ...(wanted && { method: wanted }) }),
  );
const routed: fc.Arbitrary<HttpRouteMatch> = fc
  .record({
    type: fc.constantFrom('PathPrefix', 'Exact', 'RegularExpression'),
    value: path,
  })
  .map((wanted) => routeMatch(wanted));
const asked = fc.record({ path, method }).map((wanted) => request(wanted));

describe('matchHttp', () => {
  it('meets the first block that matches, of VirtualServices', () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 12 }), fc.array(asked), (blocks, requests) => {
        const rules = blocks.map((match, index) => toSubset(`v${index}`, { match: [match] }));
        const table = compileHttpRoutes(routeInput({ virtualServices: [virtualService(rules)] }));
        for (const view of requests) {
          requireFirst(table.virtualServices, matchHttp(table, view), view);
        }
      }),
    );
  });

  it('meets the first match in order of precedence, of HTTPRoutes', () => {
    fc.assert(
      fc.property(fc.array(routed, { maxLength: 12 }), fc.array(asked), (matches, requests) => {
        const rules = matches.map((match) => routeRule('reviews', { matches: [match] }));
        const table = compileHttpRoutes(routeInput({ httpRoutes: [httpRoute(rules)] }));
        for (const view of requests) {
          requireFirst(table.producer, matchHttp(table, view), view);
        }
      }),
    );
  });
});

function requireFirst(
  group: HttpRouteGroup | undefined,
  decision: ReturnType<typeof matchHttp>,
  view: ReturnType<typeof request>,
): void {
  const first = group?.rules.find((entry) => entry.matches(view));
  const found = decision.kind === 'no-route' ? undefined : decision.rule;
  assert.equal(found?.origin.path, first?.origin.path, `${view.method} ${view.path}`);
}
