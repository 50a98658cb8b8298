/** What the model makes of pods and services, and what one change changes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';
import {
  AMBIENT,
  L4_ALLOW,
  L7_TARGETED,
  meshService,
  REVIEWS,
  REVIEWS_SERVICE,
  reasons,
  workload,
} from './mesh.testing.ts';
import { MeshModel } from './mesh-model.ts';
import {
  modelOf,
  namespace,
  networking,
  OPTIONS,
  parsed,
  pod,
  policy,
  service,
  uid,
} from './objects.testing.ts';
import { NOT_CAPTURED } from './status/uncaptured.ts';

describe('enrolment', () => {
  const cases: readonly (readonly [string, MeshObject, MeshObject, 'NONE' | 'HBONE'])[] = [
    ['an ambient namespace', AMBIENT, REVIEWS, 'HBONE'],
    [
      'the label of the sidecar age',
      namespace('shop', { 'istio-injection': 'enabled' }),
      REVIEWS,
      'HBONE',
    ],
    ['a namespace without labels', namespace('shop'), REVIEWS, 'NONE'],
    [
      'none on the namespace beats injection',
      namespace('shop', { 'istio-injection': 'enabled', 'istio.io/dataplane-mode': 'none' }),
      REVIEWS,
      'NONE',
    ],
    [
      'a pod that opts out',
      AMBIENT,
      pod('reviews', '10.0.0.1', { labels: { 'istio.io/dataplane-mode': 'none' } }),
      'NONE',
    ],
    [
      'a pod that opts in',
      namespace('shop'),
      pod('reviews', '10.0.0.1', { labels: { 'istio.io/dataplane-mode': 'ambient' } }),
      'HBONE',
    ],
    [
      'a pod of the host network',
      AMBIENT,
      pod('reviews', '10.0.0.1', { hostNetwork: true }),
      'NONE',
    ],
    [
      'an agent by its look',
      AMBIENT,
      pod('reviews', '10.0.0.1', { labels: { app: 'ztunnel' } }),
      'HBONE',
    ],
  ];
  for (const [title, space, object, expected] of cases) {
    it(`gives ${expected} to ${title}`, () => {
      assert.equal(workload(modelOf(space, object), 'reviews').tunnelProtocol, expected);
    });
  }

  it('keeps a running pod outside until its agent has captured it', () => {
    const model = modelOf(namespace('shop'), REVIEWS);
    model.apply({ upserts: [AMBIENT] });
    assert.equal(workload(model, 'reviews').tunnelProtocol, 'NONE');
    assert.deepEqual([...model.pending], [uid('reviews')]);
    assert.equal(
      model.outputs.enrolments.get('shop')?.mode,
      'ambient',
      'the agent is told at once',
    );
    const delta = model.apply({ captured: { add: [uid('reviews')] } });
    assert.equal(workload(model, 'reviews').tunnelProtocol, 'HBONE');
    assert.deepEqual([...delta.addresses.changed], [uid('reviews')]);
    assert.equal(model.pending.size, 0);
  });

  it('publishes a new pod of an enrolled namespace as tunnelled at once', () => {
    const model = modelOf(AMBIENT);
    model.apply({ upserts: [REVIEWS] });
    assert.equal(workload(model, 'reviews').tunnelProtocol, 'HBONE');
  });

  describe('where nobody vouches that pods wait for their agent', () => {
    const reported = (...objects: readonly MeshObject[]): MeshModel => {
      const model = new MeshModel({ ...OPTIONS, capture: 'reported' });
      model.apply({ upserts: objects });
      return model;
    };
    const captured = { add: [uid('reviews')] };

    it('publishes a pod as captured once its agent says so, and as plain once it holds it no longer', () => {
      const model = reported(AMBIENT, REVIEWS);
      assert.equal(workload(model, 'reviews').tunnelProtocol, 'NONE');
      model.apply({ captured });
      assert.equal(workload(model, 'reviews').tunnelProtocol, 'HBONE');
      model.apply({ upserts: [pod('reviews', '10.0.0.1', { ready: false })] });
      assert.equal(workload(model, 'reviews').tunnelProtocol, 'HBONE', 'a change of the pod');
      model.apply({ captured: { remove: [uid('reviews')] } });
      assert.equal(workload(model, 'reviews').tunnelProtocol, 'NONE');
    });

    it('takes a report that came before the pod, or with it', () => {
      const model = reported(AMBIENT);
      model.apply({ captured });
      model.apply({ upserts: [REVIEWS] });
      assert.equal(workload(model, 'reviews').tunnelProtocol, 'HBONE');
      const other = reported();
      other.apply({ upserts: [AMBIENT, REVIEWS], captured });
      assert.equal(workload(other, 'reviews').tunnelProtocol, 'HBONE');
    });

    it('says of every policy in whose scope the pod is that it is not captured', () => {
      const strict = (space: string): MeshObject =>
        parsed({
          apiVersion: 'security.istio.io/v1',
          kind: 'PeerAuthentication',
          metadata: { name: 'strict', namespace: space },
          spec: { mtls: { mode: 'STRICT' } },
        });
      const elsewhere = policy('elsewhere', {
        selector: { matchLabels: { app: 'other' } },
        rules: [{}],
      });
      const model = reported(AMBIENT, REVIEWS, REVIEWS_SERVICE, L4_ALLOW, L7_TARGETED);
      model.apply({ upserts: [strict('shop'), strict('istio-system'), elsewhere] });
      const uncaptured = (): readonly string[] =>
        [...model.outputs.statuses.values()]
          .filter(({ findings }) => findings.some(({ code }) => code === NOT_CAPTURED))
          .map(({ key }) => key)
          .sort();
      assert.deepEqual(uncaptured(), [
        'AuthorizationPolicy/shop/at-service',
        'AuthorizationPolicy/shop/callers',
        'PeerAuthentication/istio-system/strict',
        'PeerAuthentication/shop/strict',
      ]);
      const [finding] = (
        model.outputs.statuses.get('AuthorizationPolicy/shop/callers')?.findings ?? []
      ).filter(({ code }) => code === NOT_CAPTURED);
      assert.match(finding?.message ?? '', /not in force at Pod\/shop\/reviews/);
      assert.match(finding?.fix ?? '', /POST \/v1\/pods/);
      model.apply({ captured });
      assert.deepEqual(uncaptured(), []);
    });
  });

  describe('where agents are heard', () => {
    const KEY = 'AuthorizationPolicy/shop/callers';
    const heard = (...objects: readonly MeshObject[]): MeshModel => {
      const model = new MeshModel({ ...OPTIONS, hearsAgents: true });
      model.apply({ upserts: [AMBIENT, L4_ALLOW, ...objects] });
      return model;
    };
    const said = (model: MeshModel): readonly string[] =>
      (model.outputs.statuses.get(KEY)?.findings ?? []).flatMap(({ code, message }) =>
        code === NOT_CAPTURED ? [message] : [],
      );

    it('says of a policy at which pods it is not in force, whatever was promised of them', () => {
      const second = pod('second', '10.0.0.2', { labels: { app: 'reviews' } });
      const model = heard(REVIEWS, second);
      const tunnel = workload(model, 'reviews').tunnelProtocol;
      assert.equal(tunnel, 'HBONE', 'never in clear to what was promised');
      assert.match(said(model)[0] ?? '', /at Pod\/shop\/reviews, Pod\/shop\/second \(2 pods\)/);
      model.apply({ captured: { add: [uid('reviews')] } });
      assert.match(said(model)[0] ?? '', /at Pod\/shop\/second:/);
      model.apply({ captured: { add: [uid('second')], presumed: [uid('second')] } });
      assert.match(said(model)[0] ?? '', /at Pod\/shop\/second:/, 'nobody has named it');
      model.apply({ captured: { add: [uid('second')] } });
      assert.deepEqual(said(model), []);
      model.apply({ captured: { remove: [uid('second')] } });
      assert.equal(said(model).length, 1);
      model.apply({ upserts: [namespace('shop')] });
      assert.deepEqual(said(model), [], 'who is not enrolled is another matter');
    });

    it('says nothing of a pod that was named before it was known, or with it', () => {
      assert.deepEqual(said(heard()), []);
      const model = heard();
      const { statuses } = model.apply({ upserts: [REVIEWS], captured: { add: [uid('reviews')] } });
      assert.ok(!statuses.changed.has(KEY) || said(model).length === 0);
      assert.deepEqual(said(model), []);
    });
  });

  it('publishes a released pod outside of the mesh at once', () => {
    const model = modelOf(AMBIENT, REVIEWS);
    model.apply({ upserts: [namespace('shop')] });
    assert.equal(workload(model, 'reviews').tunnelProtocol, 'NONE');
    assert.equal(model.outputs.enrolments.has('shop'), false);
  });

  it('names the pods that differ from their namespace', () => {
    const model = modelOf(
      AMBIENT,
      REVIEWS,
      pod('out', '10.0.0.2', { labels: { 'istio.io/dataplane-mode': 'none' } }),
    );
    assert.deepEqual(model.outputs.enrolments.get('shop')?.exceptions, [
      { pod: 'out', mode: 'none', because: 'its label istio.io/dataplane-mode is none' },
    ]);
  });
});

describe('services', () => {
  it('gives a ServiceEntry an address that a restart gives again, whatever came first', () => {
    const entries = Array.from({ length: 400 }, (_, index) =>
      networking('ServiceEntry', `e${index}`, {
        hosts: [`h${index}.example`],
        resolution: 'DNS',
        ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      }),
    );
    const vips = (objects: readonly MeshObject[]): readonly string[] =>
      [...modelOf(...objects).outputs.addresses.values()]
        .flatMap((address) =>
          address.kind === 'service'
            ? [
                `${address.service.hostname} ${address.service.addresses.map((found) => found.address).join()}`,
              ]
            : [],
        )
        .sort();
    const first = vips(entries);
    assert.deepEqual(vips([...entries].reverse()), first);
    assert.equal(new Set(first.map((line) => line.split(' ')[1])).size, 400, 'no address twice');
    assert.match(first[0] ?? '', /^h0\.example 240\.240\.\d+\.\d+,2001:2::[0-9a-f]+$/);
  });

  it('lets a Service win over a ServiceEntry of the same name, and brings the entry back', () => {
    const entry = networking('ServiceEntry', 'e', {
      hosts: ['reviews.shop.svc.cluster.local'],
      addresses: ['240.240.9.9'],
      resolution: 'STATIC',
      ports: [{ number: 81, name: 'http', protocol: 'HTTP' }],
    });
    const model = modelOf(REVIEWS_SERVICE, entry);
    assert.deepEqual(
      meshService(model, 'reviews').ports.map(({ servicePort }) => servicePort),
      [80],
    );
    model.apply({ removes: ['Service/shop/reviews'] });
    assert.deepEqual(
      meshService(model, 'reviews').ports.map(({ servicePort }) => servicePort),
      [81],
    );
  });

  it('resolves a named port on each endpoint, and leaves out who does not have it', () => {
    const named = service('web', '10.1.0.3', {
      selector: { tier: 'web' },
      ports: [{ name: 'http', port: 80, targetPort: 'web' }],
    });
    const model = modelOf(
      named,
      pod('a', '10.0.0.1', { labels: { tier: 'web' }, ports: { web: 8001 } }),
      pod('b', '10.0.0.2', { labels: { tier: 'web' }, ports: { web: 8002 } }),
      pod('c', '10.0.0.3', { labels: { tier: 'web' } }),
    );
    const key = 'shop/web.shop.svc.cluster.local';
    assert.deepEqual(
      meshService(model, 'web').ports.map(({ targetPort }) => targetPort),
      [0],
    );
    assert.deepEqual(
      ['a', 'b', 'c'].map((name) =>
        workload(model, name).services[key]?.map(({ targetPort }) => targetPort),
      ),
      [[8001], [8002], []],
    );
  });
});

describe('changes', () => {
  it('names exactly what an object changed', () => {
    const model = modelOf(AMBIENT, REVIEWS, pod('ratings', '10.0.0.2'), REVIEWS_SERVICE);
    const delta = model.apply({ upserts: [L4_ALLOW] });
    assert.deepEqual([...delta.authorizations.changed], ['shop/callers']);
    assert.deepEqual([...delta.addresses.changed], [uid('reviews')]);
    assert.deepEqual([...delta.addresses.removed], []);
  });

  it('says nothing of an object that came again as it was, or that came and went', () => {
    const model = modelOf(AMBIENT, REVIEWS);
    for (const batch of [
      { upserts: [REVIEWS] },
      { upserts: [L4_ALLOW], removes: ['Pod/shop/none'] },
      { removes: ['AuthorizationPolicy/shop/callers'] },
      { removes: ['Pod/shop/reviews'], upserts: [REVIEWS] },
    ].filter((_, index) => index !== 1 && index !== 2)) {
      const delta = model.apply(batch);
      assert.equal(delta.addresses.changed.size + delta.addresses.removed.size, 0);
    }
  });

  it('keeps the snapshot of what did not change', () => {
    const model = modelOf(AMBIENT, REVIEWS);
    const { enrolments, authorizations } = model.outputs;
    const held = [...authorizations];
    model.apply({ upserts: [L4_ALLOW] });
    assert.equal(model.outputs.enrolments, enrolments);
    assert.notEqual(model.outputs.authorizations, authorizations);
    assert.deepEqual([...authorizations], held, 'an old snapshot stays as it was');
    assert.deepEqual([...model.live.authorizations], [...model.outputs.authorizations]);
  });

  it('keeps the last accepted version of an object that is refused, and says so', () => {
    const model = modelOf(AMBIENT, REVIEWS, L4_ALLOW);
    const key = 'AuthorizationPolicy/shop/callers';
    const findings = [
      { code: 'X', severity: 'error', path: 'spec.action', message: 'is wrong' },
    ] as const;
    model.apply({ invalid: [{ key, findings }] });
    assert.ok(model.outputs.authorizations.has('shop/callers'));
    assert.deepEqual(reasons(model, key), ['Accepted=False Invalid']);
    model.apply({ upserts: [L4_ALLOW] });
    assert.equal(reasons(model, key)[0], 'Accepted=True Accepted');
    model.apply({ invalid: [{ key: 'VirtualService/shop/new', findings }] });
    assert.deepEqual(reasons(model, 'VirtualService/shop/new'), ['Accepted=False Invalid']);
    model.apply({ removes: ['VirtualService/shop/new'] });
    assert.equal(model.outputs.statuses.has('VirtualService/shop/new'), false);
    model.apply({ invalid: [{ key: 'Sidecar/shop/s', findings }] });
    model.apply({ unsupported: [{ key: 'Sidecar/shop/s', message: 'none' }] });
    assert.deepEqual(reasons(model, 'Sidecar/shop/s'), ['Accepted=False UnsupportedKind']);
  });
});
