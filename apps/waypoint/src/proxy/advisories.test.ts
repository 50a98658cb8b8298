/**
 * Advisories of other meshes (docs/testing.md has the list) that need a whole waypoint: what it serves, whose routes count, what it
 * fetches, what it is told.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, it } from 'node:test';
import { type MeshObject, parseObject } from '@ambit/api';
import { HboneError } from '@ambit/hbone';
import type { Address } from '@ambit/model';
import { decodeObject, encodeObject } from '@ambit/xds';
import { HOST, PORT, service, workload } from '../testing.ts';
import { ask, client, policy, startRig, stranger } from './proxy-worker.testing.ts';

const reviews = (port: number): readonly Address[] => [
  { kind: 'service', service: service('HTTP11') },
  { kind: 'workload', workload: workload('reviews', port) },
];

function object(raw: Record<string, unknown>): MeshObject {
  const { object: made, findings } = parseObject(raw);
  assert.ok(made !== undefined, JSON.stringify(findings));
  return made;
}

function virtualService(namespace: string, hosts: readonly string[]): MeshObject {
  return object({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'capture', namespace },
    spec: { hosts, http: [{ redirect: { authority: 'captured.example' } }] },
  });
}

describe('5 CVE-2021-31921: what is not bound to this waypoint', () => {
  it('is reached by no authority, whatever Host says', async () => {
    await using rig = await startRig();
    const { waypoint: _none, ...unbound } = service('HTTP11', {
      name: 'secret',
      hostname: 'secret.shop.svc.cluster.local',
      addresses: [{ network: '', address: '10.96.0.2' }],
    });
    rig.tell([...reviews(rig.backendPort), { kind: 'service', service: unbound }]);
    for (const authority of [
      `10.96.0.2:${PORT}`,
      `secret.shop.svc.cluster.local:${PORT}`,
      '169.254.169.254:80',
      'outside.example:443',
      '[::1]:15000',
    ]) {
      await assert.rejects(
        rig.tunnel(client, authority),
        (error) => error instanceof HboneError && error.status === 400,
        authority,
      );
    }
    const headers = { host: 'secret.shop.svc.cluster.local' };
    assert.equal((await ask(await rig.tunnel(client), { headers })).status, 200);
    assert.ok(rig.connects.every(({ authority }) => authority === `127.0.0.1:${rig.backendPort}`));
  });
});

describe('18 GHSA-fgw5-hp8f-xfhc: a jwksUri that points inside', () => {
  it('is fetched by nobody, and no token passes by it', async () => {
    let connections = 0;
    const keys = createServer((socket) => {
      connections += 1;
      socket.destroy();
    });
    keys.listen(0, '127.0.0.1').unref();
    await once(keys, 'listening');
    const { port } = keys.address() as AddressInfo;
    await using rig = await startRig();
    const claims = Buffer.from('{"iss":"me","sub":"admin"}').toString('base64url');
    for (const jwksUri of [`http://127.0.0.1:${port}/`, `http://[::ffff:127.0.0.1]:${port}/`]) {
      rig.tell(reviews(rig.backendPort), [
        object({
          apiVersion: 'security.istio.io/v1',
          kind: 'RequestAuthentication',
          metadata: { name: 'tokens', namespace: 'shop' },
          spec: { jwtRules: [{ issuer: 'me', jwksUri }] },
        }),
        policy('callers', { rules: [{ from: [{ source: { requestPrincipals: ['me/admin'] } }] }] }),
      ]);
      const headers = { authorization: `Bearer e30.${claims}.AAAA` };
      assert.equal((await ask(await rig.tunnel(client), { headers })).status, 403);
      assert.equal((await ask(await rig.tunnel(client))).status, 403);
    }
    assert.equal(connections, 0);
    keys.close();
  });
});

describe('24 ISTIO-SECURITY-2026-002: routes of another namespace', () => {
  it('capture no service of this one, nor names outside of the mesh', async () => {
    await using rig = await startRig();
    const cases: readonly (readonly [MeshObject, number])[] = [
      [virtualService('other', [HOST]), 200],
      [virtualService('other', ['reviews']), 200],
      [virtualService('other', ['*.cluster.local']), 200],
      [virtualService('other', ['outside.example']), 200],
      [virtualService('shop', ['outside.example']), 200],
      [virtualService('shop', [HOST]), 301],
    ];
    for (const [route, status] of cases) {
      rig.tell(reviews(rig.backendPort), [route]);
      for (const host of [HOST, 'outside.example']) {
        const answer = await ask(await rig.tunnel(client), { headers: { host } });
        assert.equal(answer.status, status, JSON.stringify([route.metadata, host]));
      }
      const key = `VirtualService/${route.metadata.namespace}/capture`;
      rig.worker.receive({ kind: 'objects', sequence: 99, changed: [], removed: [key] });
    }
  });
});

describe('25 CVE-2024-28248, 2026-33726: policy skipped on some ways', () => {
  it('holds by the service, by the pod, by whatever name', async () => {
    await using rig = await startRig();
    const waypoint = service('HTTP11').waypoint;
    assert.ok(waypoint !== undefined);
    rig.tell(
      [
        { kind: 'service', service: service('HTTP11') },
        { kind: 'workload', workload: workload('reviews', rig.backendPort, { waypoint }) },
      ],
      [
        policy('no-admin', {
          selector: { matchLabels: { app: 'reviews' } },
          action: 'DENY',
          rules: [{ to: [{ operation: { paths: ['/admin'] } }] }],
        }),
        policy('callers', {
          rules: [{ from: [{ source: { namespaces: ['shop'] } }] }],
        }),
      ],
    );
    for (const authority of [undefined, `${HOST}:${PORT}`, `127.0.0.1:${rig.backendPort}`]) {
      for (const [caller, path, status] of [
        [client, '/', 200],
        [client, '/admin', 403],
        [stranger, '/', 403],
        [stranger, '/admin', 403],
      ] as const) {
        const answer = await ask(await rig.tunnel(caller, authority), { path });
        assert.equal(answer.status, status, `${authority} ${caller.identity} ${path}`);
      }
    }
  });
});

describe('26 CVE-2025-64715: what is empty, over our own wire', () => {
  const shapes: readonly (readonly [what: string, spec: object, status: number])[] = [
    ['nothing', {}, 403],
    ['no rules', { rules: [] }, 403],
    ['no rules, for labels', { selector: { matchLabels: { app: 'reviews' } } }, 403],
    ['no labels', { selector: { matchLabels: {} } }, 403],
    ['an empty rule', { rules: [{}] }, 200],
    ['an empty rule of a DENY', { action: 'DENY', rules: [{}] }, 403],
  ];
  for (const [what, spec, status] of shapes) {
    it(`${what}: ${status}`, async () => {
      await using rig = await startRig();
      const key = 'AuthorizationPolicy/shop/empty';
      const sent = encodeObject({ key, semanticsVersion: 1, object: policy('empty', spec) });
      rig.tell(reviews(rig.backendPort), [decodeObject(key, sent).object]);
      assert.equal((await ask(await rig.tunnel(client))).status, status);
    });
  }

  it('is no list: nobody knows whether all or nothing is meant', () => {
    for (const rules of [
      [{ from: [] }],
      [{ to: [], when: [] }],
      [{ from: [{ source: { principals: [] } }] }],
      [{ from: [{ source: { notPrincipals: [], namespaces: ['shop'] } }] }],
      [{ to: [{ operation: { paths: [] } }] }],
    ]) {
      const { object: made, findings } = parseObject({
        apiVersion: 'security.istio.io/v1',
        kind: 'AuthorizationPolicy',
        metadata: { name: 'empty', namespace: 'shop' },
        spec: { rules },
      });
      assert.equal(made, undefined, JSON.stringify(rules));
      assert.match(JSON.stringify(findings), /EMPTY/);
    }
  });
});
