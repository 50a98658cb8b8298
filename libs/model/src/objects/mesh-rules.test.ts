/** A VirtualService for the mesh and for gateways: it is routed by in the mesh where one of its rules is for that. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { AMBIENT, REVIEWS, REVIEWS_SERVICE, reasons } from '../mesh.testing.ts';
import { modelOf, networking } from '../objects.testing.ts';

const HOST = 'reviews.shop.svc.cluster.local';

describe('a VirtualService for the mesh and for other gateways', () => {
  const X = { gateways: ['shop/front'] };
  const MESH = { gateways: ['mesh'] };
  const http = (...match: readonly object[]) => ({
    http: [{ ...(match.length === 0 ? {} : { match }), route: [{ destination: { host: HOST } }] }],
  });
  const streams = (gateways: object) => {
    const route = [{ destination: { host: HOST } }];
    return {
      tcp: [{ match: [{ port: 80, ...gateways }], route }],
      tls: [{ match: [{ sniHosts: [HOST], ...gateways }], route }],
    };
  };
  const wide = networking('VirtualService', 'wide', { hosts: ['*.svc.cluster.local'], ...http() });
  // Those of no effect had a waypoint made, and were said to be routed by.
  for (const [title, rules, isRouted] of [
    ['without a match', http(), true],
    ['of which one match is for all', http({ uri: { prefix: '/a' }, ...X }, {}), true],
    ['of which one match is for the mesh', http(X, MESH), true],
    ['with a rule for streams besides', { ...http(X), ...streams({}) }, true],
    ['with matches for others alone', http(X), false],
    ['with rules for streams of others', streams(X), false],
  ] as const) {
    it(`is ${isRouted ? '' : 'not '}routed by: ${title}`, () => {
      const spec = { hosts: [HOST], gateways: ['mesh', 'shop/front'], ...rules };
      const object = networking('VirtualService', 'both', spec);
      const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, object);
      const key = 'VirtualService/shop/both';
      const [said] = reasons(model, key).filter((one) => one.startsWith('Attached'));
      assert.equal(said, isRouted ? 'Attached=True AtWaypoint' : 'Attached=False NoEffect');
      assert.equal(model.outputs.waypoints.has('shop/waypoint'), isRouted);
      const codes = model.outputs.statuses.get(key)?.findings.map(({ code }) => code);
      assert.equal(codes?.includes('NO_EFFECT'), !isRouted);
      model.apply({ upserts: [wide] });
      const [left] = reasons(model, 'VirtualService/shop/wide').filter((one) =>
        one.startsWith('Attached'),
      );
      assert.equal(left, isRouted ? 'Attached=False Conflicted' : 'Attached=True AtWaypoint');
      const scope = model.outputs.scopes.get('shop/waypoint');
      assert.deepEqual([...(scope ?? [])], [isRouted ? key : 'VirtualService/shop/wide']);
    });
  }
});
