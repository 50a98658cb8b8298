import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MeshError } from '@ambit/core';
import { type CompiledPolicy, EMPTY_L4 } from '@ambit/policy';
import type { MeshOutputs } from '../types.ts';
import { decodeSnapshot, encodeSnapshot } from './snapshot.ts';

const POLICY: CompiledPolicy = {
  name: 'p',
  namespace: 'shop',
  scope: 'NAMESPACE',
  action: 'DENY',
  dryRun: false,
  rules: [
    {
      clauses: [
        {
          origin: 'from',
          matches: [
            {
              l4: {
                ...EMPTY_L4,
                sourceIps: [{ address: Uint8Array.of(10, 0, 0, 0), length: 8 }],
                destinationPorts: [80],
              },
            },
          ],
        },
      ],
    },
  ],
};

const OUTPUTS: MeshOutputs = {
  addresses: new Map([
    [
      'shop/a.shop.svc.cluster.local',
      {
        kind: 'service',
        service: {
          name: 'a',
          namespace: 'shop',
          hostname: 'a.shop.svc.cluster.local',
          addresses: [{ network: '', address: '10.96.0.1' }],
          ports: [],
          subjectAltNames: [],
          ipFamilies: 'AUTOMATIC',
          canonical: true,
          ingressUseWaypoint: false,
        },
      },
    ],
  ]),
  authorizations: new Map([['shop/p', POLICY]]),
  enrolments: new Map([
    ['shop', { namespace: 'shop', mode: 'ambient', exceptions: [], dnsCapture: true }],
  ]),
  pods: new Map(),
  waypoints: new Map(),
  scopes: new Map([['shop/waypoint', new Set(['VirtualService/shop/a'])]]),
  objects: new Map(),
  statuses: new Map([['Service/shop/a', { key: 'Service/shop/a', conditions: [], findings: [] }]]),
};

const CONTEXT = {
  network: '',
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  clusterDomain: 'cluster.local',
  takenAtMs: 1,
};

describe('a snapshot', () => {
  it('survives JSON with its maps, sets and bytes', () => {
    const text = JSON.stringify(encodeSnapshot(OUTPUTS, CONTEXT));
    const decoded = decodeSnapshot(JSON.parse(text));
    assert.deepEqual(decoded.outputs, OUTPUTS);
    assert.deepEqual(decoded.context, CONTEXT);
  });

  for (const [title, change] of [
    ['another format', { format: 2 }],
    ['no addresses', { addresses: undefined }],
    ['entries that are no objects', { objects: [1] }],
    ['no scopes', { scopes: [] }],
    ['no trust domain', { trustDomain: 1 }],
    ['a policy without rules', { authorizations: [{}] }],
  ] as const) {
    it(`is refused with ${title}`, () => {
      const json: unknown = { ...encodeSnapshot(OUTPUTS, CONTEXT), ...change };
      assert.throws(() => decodeSnapshot(json), MeshError);
    });
  }

  it('is refused when it is no object', () => {
    for (const json of [null, [], 'x', 1]) assert.throws(() => decodeSnapshot(json), MeshError);
  });
});
