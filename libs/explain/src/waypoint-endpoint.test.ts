/** What a waypoint's refusal is said to look like is what its engine answers. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DecodedSnapshot } from '@ambit/model';
import { REFUSAL_ANSWER } from '@ambit/policy';
import { endsOf, explain } from './explain.ts';
import { GATEWAY, SHOP, snapshotOf, WAYPOINT } from './testing.ts';

const POLICY = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  rules: [{to: [{operation: {methods: [GET]}}]}]
`;

/** As while the waypoint has the workloads and not yet the policy that they name. */
function withoutPolicies(snapshot: DecodedSnapshot): DecodedSnapshot {
  const { outputs } = snapshot;
  const objects = new Map(
    [...outputs.objects].filter(([, { kind }]) => kind !== 'AuthorizationPolicy'),
  );
  return { ...snapshot, outputs: { ...outputs, objects } };
}

describe('a waypoint that refuses', () => {
  const complete = snapshotOf(SHOP, WAYPOINT, GATEWAY, POLICY);
  for (const [what, mesh, text] of [
    ['what no policy allows', complete, /but none allowed: shop\/reviews/],
    ['while a policy is missing', withoutPolicies(complete), /until policy shop\/reviews has/],
  ] as const) {
    it(`answers the same status as its engine: ${what}`, () => {
      const asked = { source: 'client', destination: 'reviews', namespace: 'shop' };
      const { hop } = explain({ ...asked, method: 'POST' }, mesh);
      const ends = endsOf(hop);
      assert.deepEqual(
        ends.map(({ status }) => status),
        [REFUSAL_ANSWER.status],
      );
      assert.match(ends[0]?.text ?? '', text);
    });
  }
});
