/** Our CRDs on a real API server: accepted as structural, and what they let pass, keep and refuse. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { customResourceDefinitions, parseObject } from '@ambit/api';
import { isKubeError } from '@ambit/kube';
import { openTestCluster, type TestCluster } from '@ambit/kube/testing';

import {
  applyCrds,
  conditionsOf,
  fixtures,
  type JsonObject,
  refuseForeignCrds,
  resourceOf,
  store,
} from './crds.testing.ts';

let cluster: TestCluster;
let namespace: string;
const CRDS = customResourceDefinitions();

before(async () => {
  cluster = await openTestCluster('crds');
  await refuseForeignCrds(cluster);
  await applyCrds(cluster, CRDS);
  namespace = await cluster.namespace();
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
});

describe('our CRDs', () => {
  for (const { metadata } of CRDS) {
    it(`${metadata.name} is established and structural`, async () => {
      const conditions = await conditionsOf(cluster, metadata.name);
      assert.equal(conditions.get('Established'), 'True');
      assert.equal(conditions.get('NamesAccepted'), 'True');
      assert.equal(conditions.get('NonStructuralSchema'), undefined);
    });
  }

  it('are known by the short names of Istio', async () => {
    for (const [group, names] of Object.entries({
      'networking.istio.io': ['vs', 'dr', 'se', 'we', 'wg', 'gw'],
      'security.istio.io': ['ap', 'pa', 'ra'],
    })) {
      const list = (await cluster.http.json({ method: 'GET', path: `/apis/${group}/v1` })) as {
        readonly resources: readonly { readonly shortNames?: readonly string[] }[];
      };
      const served = list.resources.flatMap(({ shortNames = [] }) => shortNames);
      assert.deepEqual(served.sort(), names.sort(), group);
    }
  });
});

describe('objects under our CRDs', () => {
  for (const [title, object] of fixtures()) {
    const { findings } = parseObject(object);
    const isValid = findings.every(({ severity }) => severity !== 'error');
    it(`${isValid ? 'keeps all of' : 'keeps, or refuses with a path,'} ${title}`, async () => {
      const stored = await store(cluster, namespace, object).catch((error: unknown) => {
        if (!isKubeError(error, 'KUBE_INVALID')) throw error;
        return error;
      });
      if (stored instanceof Error) {
        assert.ok(!isValid, `it is valid, but: ${stored.message}`);
        for (const cause of stored.causes) assert.notEqual(cause.field, '', cause.message);
        return;
      }
      const { spec = {} } = object;
      assert.deepEqual(stored['spec'] ?? {}, spec, 'nothing is dropped, nothing added');
      const codes = (value: unknown) => parseObject(value).findings.map(({ code }) => code);
      assert.deepEqual(codes(stored), codes(object));
    });
  }

  const vs = (http: unknown) => ['VirtualService', { hosts: ['a'], http: [http] }] as const;
  const route = [{ destination: { host: 'a' } }];
  const ap = (spec: unknown) => ['AuthorizationPolicy', spec] as const;
  const REFUSED: readonly (readonly [
    title: string,
    object: readonly [string, unknown],
    at: string,
  ])[] = [
    ['a timeout without unit', vs({ route, timeout: 5 }), 'spec.http[0].timeout'],
    ['a timeout that is none', vs({ route, timeout: 'soon' }), 'spec.http[0].timeout'],
    ['one match instead of a list', vs({ route, match: {} }), 'spec.http[0].match'],
    [
      'two matches in one',
      vs({ route, match: [{ uri: { exact: 'a', prefix: 'b' } }] }),
      'spec.http[0].match[0].uri',
    ],
    [
      'a host with a scheme',
      vs({ route: [{ destination: { host: 'http://a' } }] }),
      'spec.http[0].route[0].destination.host',
    ],
    ['nothing to do', vs({ match: [{ uri: { exact: '/a' } }] }), 'spec.http[0]'],
    [
      'a port that is too large',
      vs({ route: [{ destination: { host: 'a', port: { number: 70_000 } } }] }),
      'spec.http[0].route[0].destination.port.number',
    ],
    ['a mode that is none', ['PeerAuthentication', { mtls: { mode: 'strict' } }], 'spec.mtls.mode'],
    [
      'port modes without selector',
      ['PeerAuthentication', { portLevelMtls: { 80: { mode: 'STRICT' } } }],
      'spec',
    ],
    ['an action that is none', ap({ action: 'deny' }), 'spec.action'],
    ['an action without a value', ap({ action: null }), 'spec.action'],
    ['DENY without rules', ap({ action: 'DENY' }), 'spec'],
    ['DENY with empty rules', ap({ action: 'DENY', rules: null }), 'spec'],
    ['two attachments', ap({ selector: {}, targetRefs: [{ kind: 'Service', name: 'a' }] }), 'spec'],
    [
      'ports that are numbers',
      ap({ rules: [{ to: [{ operation: { ports: [80] } }] }] }),
      'spec.rules[0].to[0].operation.ports[0]',
    ],
    ['tokens of nobody', ['RequestAuthentication', { jwtRules: [{}] }], 'spec.jwtRules[0]'],
    [
      'two subsets of a name',
      ['DestinationRule', { host: 'a', subsets: [{ name: 'v' }, { name: 'v' }] }],
      'spec.subsets[1]',
    ],
    ['a rule without host', ['DestinationRule', {}], 'spec.host'],
    [
      'two ways of balancing',
      [
        'DestinationRule',
        {
          host: 'a',
          trafficPolicy: {
            loadBalancer: { simple: 'RANDOM', consistentHash: { useSourceIp: true } },
          },
        },
      ],
      'spec.trafficPolicy.loadBalancer',
    ],
    [
      'endpoints that nobody resolves',
      ['ServiceEntry', { hosts: ['a.b'], endpoints: [{ address: '10.0.0.1' }] }],
      'spec',
    ],
    [
      'one port twice',
      ['ServiceEntry', { hosts: ['a.b'], ports: [{ number: 80 }, { number: 80, name: 'x' }] }],
      'spec.ports[1]',
    ],
    ['no hosts', ['ServiceEntry', {}], 'spec'],
    ['no address', ['WorkloadEntry', {}], 'spec.address'],
  ];
  for (const [title, [kind, spec], at] of REFUSED) {
    it(`refuses ${title}, with its path`, async () => {
      const object = {
        apiVersion: resourceOf(kind).apiVersion,
        kind,
        metadata: { name: 'x' },
        spec,
      };
      await assert.rejects(store(cluster, namespace, object), (error) => {
        if (!isKubeError(error, 'KUBE_INVALID')) throw error;
        assert.equal(error.causes[0]?.field, at, error.message);
        return true;
      });
    });
  }

  const KEPT: readonly (readonly [title: string, object: JsonObject])[] = [
    [
      'a field that nobody knows',
      { kind: 'VirtualService', spec: { hosts: ['a'], hots: 1, http: [{ route, tmeout: '5s' }] } },
    ],
    [
      'empty fields of a policy',
      { kind: 'AuthorizationPolicy', spec: { rules: [{ from: null, to: null }] } },
    ],
    ['a mode beside spec', { kind: 'PeerAuthentication', mtls: { mode: 'STRICT' }, spec: {} }],
    [
      'LEAST_CONN',
      {
        kind: 'DestinationRule',
        spec: { host: 'a', trafficPolicy: { loadBalancer: { simple: 'LEAST_CONN' } } },
      },
    ],
    [
      'a timeout of a dialect',
      { kind: 'DestinationRule', spec: { host: 'a', trafficPolicy: { timeout: '5s' } } },
    ],
    [
      'a misspelt match',
      {
        kind: 'VirtualService',
        spec: { hosts: ['a'], http: [{ route, match: [{ headers: { x: { exakt: 'y' } } }] }] },
      },
    ],
    [
      'a kind that is not served',
      { kind: 'EnvoyFilter', spec: { configPatches: [{ patch: { a: [1, null] } }] } },
    ],
  ];
  for (const [title, body] of KEPT) {
    it(`drops nothing of ${title}, so that we can say what it is`, async () => {
      const kind = String(body['kind']);
      const object = { apiVersion: resourceOf(kind).apiVersion, metadata: { name: 'x' }, ...body };
      const { metadata: _metadata, ...stored } = await store(cluster, namespace, object);
      const { metadata: _written, ...written } = object;
      assert.deepEqual(stored, written);
    });
  }
});
