/** What every proxy has and nobody does: `Enforced` would be True of it, were it not for these findings. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import { AMBIENT, REVIEWS, REVIEWS_SERVICE } from '../mesh.testing.ts';
import { gateway, modelOf, namespace, parsed, waypointPod } from '../objects.testing.ts';
import { unjudged } from './unjudged.ts';

const USE = { 'istio.io/use-waypoint': 'waypoint' };
const LABELLED = namespace('shop', { 'istio.io/dataplane-mode': 'ambient', ...USE });
const SHOP = [REVIEWS, REVIEWS_SERVICE];
/** A waypoint for the Services of the shop that is there. */
const READY = [LABELLED, gateway('waypoint'), waypointPod()];

/** The reason that `Enforced` gives, and `-` where nothing keeps it from being True. */
function saidOf(key: string, objects: readonly MeshObject[]): string {
  const status = modelOf(...objects).outputs.statuses.get(key);
  assert.ok(status);
  return unjudged(status.findings)?.reason ?? '-';
}

describe('a RequestAuthentication', () => {
  const tokens = (spec: object): MeshObject =>
    parsed({
      apiVersion: 'security.istio.io/v1',
      kind: 'RequestAuthentication',
      metadata: { name: 'r', namespace: 'shop' },
      spec: { jwtRules: [{ issuer: 'x', jwks: '{"keys":[]}' }], ...spec },
    });
  const ON_REVIEWS = { selector: { matchLabels: { app: 'reviews' } } };
  const at = (group: string, kind: string, name: string) => ({
    targetRefs: [{ group, kind, name }],
  });
  const SERVICE = at('', 'Service', 'reviews');
  const GATEWAY = at('gateway.networking.k8s.io', 'Gateway', 'waypoint');
  const BY_SERVICE_ONLY = gateway('waypoint', { labels: { 'istio.io/waypoint-for': 'none' } });
  // Once every agent had it, it was said to be enforced, while tokens of anybody's making went through.
  for (const [title, spec, objects] of [
    ['of a namespace', {}, [AMBIENT]],
    ['of a namespace with a waypoint', {}, READY],
    ['of pods that agents alone stand before', ON_REVIEWS, [AMBIENT]],
    ['of pods behind a waypoint', ON_REVIEWS, READY],
    ['of pods behind a waypoint that is not for them', ON_REVIEWS, [LABELLED, BY_SERVICE_ONLY]],
    ['at a Service that agents alone stand before', SERVICE, [AMBIENT]],
    ['at a Service behind a waypoint', SERVICE, READY],
    ['at a waypoint', GATEWAY, READY],
    ['at a waypoint that is not there', GATEWAY, [LABELLED]],
    ['without a rule', { jwtRules: [] }, READY],
  ] as const) {
    it(`is said to be checked by nobody: ${title}`, () => {
      const said = saidOf('RequestAuthentication/shop/r', [...objects, ...SHOP, tokens(spec)]);
      assert.equal(said, 'TokensUnchecked');
    });
  }
});
