/** A VirtualService for the mesh and for gateways: it is routed by in the mesh where one of its rules is for that. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { AMBIENT, REVIEWS, REVIEWS_SERVICE, reasons } from '../mesh.testing.ts';
import { modelOf, networking, parsed, service } from '../objects.testing.ts';

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
  // Of a port that says nothing, rules of both kinds are asked.
  const ANY = service('reviews', '10.1.0.1', { ports: [{ name: 'any', port: 80 }] });
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
      const model = modelOf(AMBIENT, REVIEWS, ANY, object);
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

describe('VirtualServices of one host', () => {
  const of = (name: string, year: number, gateways?: readonly string[], host = HOST) =>
    parsed({
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name, namespace: 'shop', creationTimestamp: `${year}-01-01T00:00:00Z` },
      spec: {
        hosts: [host],
        gateways: ['mesh', 'shop/front'],
        http: [
          {
            ...(gateways === undefined ? {} : { match: [{ gateways }] }),
            route: [{ destination: { host: HOST } }],
          },
        ],
      },
    });
  const FRONT = ['shop/front'];
  const ABSENT = 'absent.shop.svc.cluster.local';
  for (const [title, objects, expected] of [
    ['is the younger', [of('a', 2021), of('b', 2020)], ['IST0109 VirtualService/shop/b']],
    ['is the older', [of('a', 2020), of('b', 2021)], []],
    ['is alone', [of('a', 2020)], []],
    ['is beside an older one for gateways alone', [of('a', 2021), of('b', 2020, FRONT)], []],
    // The younger one was said to be older.
    ['is the older, and for gateways alone', [of('a', 2020, FRONT), of('b', 2021)], []],
    ['is the younger, and for gateways alone', [of('a', 2021, FRONT), of('b', 2020)], []],
    [
      'is for gateways alone, and so is the other',
      [of('a', 2020, FRONT), of('b', 2021, FRONT)],
      [],
    ],
    [
      'is for gateways alone, of a host that nobody serves',
      [of('a', 2020, FRONT, ABSENT)],
      ['IST0101 no'],
    ],
  ] as const) {
    it(`say ${expected.join() || 'nothing'} of one that ${title}`, () => {
      const { outputs } = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, ...objects);
      const { findings = [] } = outputs.statuses.get('VirtualService/shop/a') ?? {};
      const said = findings.flatMap(({ code, message }) =>
        code.startsWith('IST') ? [`${code} ${message.split(' ')[0]}`] : [],
      );
      assert.deepEqual(said, expected);
    });
  }
});
