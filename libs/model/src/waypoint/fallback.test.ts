/** What callers do while a waypoint is not ready: never past what policy guards, past routes only where it is said. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import {
  AMBIENT,
  L7_ALLOW,
  L7_TARGETED,
  meshService,
  REVIEWS,
  REVIEWS_SERVICE,
  ROUTE,
  reasons,
  workload,
} from '../mesh.testing.ts';
import type { MeshModel } from '../mesh-model.ts';
import { gateway, modelOf, namespace, service, waypointPod } from '../objects.testing.ts';

const FALLBACK = 'ambit.io/waypoint-fallback';
const USE = { 'istio.io/use-waypoint': 'w' };
const ENROLLED = { 'istio.io/dataplane-mode': 'ambient' };
const direct = { [FALLBACK]: 'direct' };
const refuse = { [FALLBACK]: 'refuse' };

/** The annotation instead of the label. */
function annotated(object: MeshObject, value: string): MeshObject {
  const metadata = { ...object.metadata, annotations: { [FALLBACK]: value } };
  return { ...object, metadata } as MeshObject;
}

function asksWaypoint(model: MeshModel): boolean {
  return meshService(model, 'reviews').waypoint !== undefined;
}

function codes(model: MeshModel, key: string): readonly string[] {
  return (model.outputs.statuses.get(key)?.findings ?? []).map(({ code }) => code);
}

const NAMED = namespace('shop', { ...ENROLLED, ...USE });

describe('a waypoint without a ready instance', () => {
  const rows: readonly (readonly [string, readonly MeshObject[], boolean])[] = [
    ['named by a label', [NAMED, gateway('w')], true],
    ['with a route, for which it is made', [AMBIENT, ROUTE], false],
    ['with a route, where a Gateway is', [AMBIENT, ROUTE, gateway('waypoint')], true],
    [
      'named, made for a route',
      [namespace('shop', { ...ENROLLED, 'istio.io/use-waypoint': 'waypoint' }), ROUTE],
      true,
    ],
    ['named, direct by its Gateway', [NAMED, gateway('w', { labels: direct })], false],
    [
      'named, direct by its namespace',
      [namespace('shop', { ...ENROLLED, ...USE, ...direct }), gateway('w')],
      false,
    ],
    ['direct by an annotation of its namespace', [annotated(NAMED, 'direct'), gateway('w')], false],
    [
      'direct by its Gateway, refused by its namespace',
      [annotated(NAMED, 'refuse'), gateway('w', { labels: direct })],
      true,
    ],
    ['made for a route, refused by its namespace', [annotated(AMBIENT, 'refuse'), ROUTE], true],
    ['direct, if it were spelled so', [annotated(NAMED, 'Direct'), gateway('w')], true],
    [
      'run by somebody else',
      [NAMED, gateway('w', { addresses: ['192.0.2.7'], labels: direct })],
      true,
    ],
  ];
  for (const [what, objects, isAsked] of rows) {
    it(`${isAsked ? 'refuses' : 'lets pass'}: ${what}`, () => {
      assert.equal(asksWaypoint(modelOf(...objects, REVIEWS, REVIEWS_SERVICE)), isAsked);
    });
  }

  it('follows the service before its namespace', () => {
    const open = service('reviews', '10.1.0.1', { labels: direct });
    const closed = service('reviews', '10.1.0.1', { labels: refuse });
    assert.equal(
      asksWaypoint(modelOf(annotated(NAMED, 'refuse'), gateway('w'), REVIEWS, open)),
      false,
    );
    assert.equal(
      asksWaypoint(modelOf(annotated(NAMED, 'direct'), gateway('w'), REVIEWS, closed)),
      true,
    );
    const both = annotated(open, 'refuse');
    assert.equal(
      asksWaypoint(modelOf(NAMED, gateway('w'), REVIEWS, both)),
      true,
      'annotation first',
    );
  });

  it('is asked once it is ready, and passed by again when it is not', () => {
    const space = annotated(NAMED, 'direct');
    const model = modelOf(space, gateway('w'), REVIEWS, REVIEWS_SERVICE, waypointPod('w'));
    assert.equal(asksWaypoint(model), true);
    assert.ok(reasons(model, 'Service/shop/reviews').includes('WaypointReady=True WaypointReady'));
    model.apply({ upserts: [waypointPod('w', 'shop', false)] });
    assert.equal(asksWaypoint(model), false);
    const said = model.outputs.statuses.get('Service/shop/reviews')?.conditions[0]?.message;
    assert.match(said ?? '', /callers go direct/);
  });

  it('holds for addresses of pods by their namespace and Gateway', () => {
    const all = { 'istio.io/waypoint-for': 'all' };
    const asked = modelOf(NAMED, gateway('w', { labels: all }), REVIEWS);
    assert.notEqual(workload(asked, 'reviews').waypoint, undefined);
    const open = modelOf(NAMED, gateway('w', { labels: { ...all, ...direct } }), REVIEWS);
    assert.equal(workload(open, 'reviews').waypoint, undefined);
  });

  for (const policy of [L7_ALLOW, L7_TARGETED]) {
    it(`never opens what ${policy.metadata.name} guards, and says so`, () => {
      const open = service('reviews', '10.1.0.1', { labels: direct });
      const model = modelOf(
        annotated(AMBIENT, 'direct'),
        gateway('waypoint', { labels: direct }),
        REVIEWS,
        open,
        policy,
      );
      assert.equal(asksWaypoint(model), true);
      assert.equal(workload(model, 'reviews').guard?.exclusive, true);
      assert.deepEqual(codes(model, 'Service/shop/reviews'), ['WAYPOINT_FALLBACK_CLOSED']);
    });
  }

  it('says nothing of that to who wrote nothing', () => {
    const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, L7_ALLOW);
    assert.deepEqual(codes(model, 'Service/shop/reviews'), []);
  });

  it('says which values there are, on each object that may have one', () => {
    const odd = service('reviews', '10.1.0.1', { labels: { [FALLBACK]: 'open' } });
    const model = modelOf(
      annotated(NAMED, 'open'),
      gateway('w', { labels: { [FALLBACK]: 'open' } }),
      REVIEWS,
      odd,
    );
    for (const key of ['Namespace/shop', 'Gateway/shop/w', 'Service/shop/reviews']) {
      assert.ok(codes(model, key).includes('WAYPOINT_FALLBACK_UNKNOWN'), key);
    }
  });
});
