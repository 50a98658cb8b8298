import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseObject } from './parse-object.ts';
import { supportedKinds } from './schema/kinds.ts';
import { serializeObject } from './serialize.ts';
import { SAMPLES } from './testing/samples.ts';
import { parseYaml } from './yaml.ts';

const VIRTUAL_SERVICE = `
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: reviews, namespace: shop, creationTimestamp: "2026-01-31T12:00:00Z", generation: 3}
spec:
  hosts: [reviews]
  http:
  - match:
    - headers: {end-user: {exact: jason}, X-Any: {}}
      uri: {prefix: /api}
    route:
    - destination: {host: reviews, subset: v2, port: {number: 9080}}
    timeout: 1.5s
    retries: {attempts: 3, perTryTimeout: 2s, retryOn: "5xx,503"}
    fault: {delay: {percentage: {value: 50}, fixedDelay: 5s}}
    mirror: {host: reviews, subset: v3}
  - route:
    - {destination: {host: reviews, subset: v1}, weight: 80}
    - {destination: {host: reviews, subset: v3}, weight: 20}
`;

function parseOne(text: string) {
  const { documents, findings } = parseYaml(text, { source: 'test.yaml' });
  assert.deepEqual(findings, []);
  return parseObject(documents[0]?.value);
}

describe('parseObject', () => {
  it('writes a VirtualService in its official form', () => {
    const { object, key, findings } = parseOne(VIRTUAL_SERVICE);
    assert.deepEqual(findings, []);
    assert.equal(key, 'VirtualService/shop/reviews');
    assert.equal(object?.kind, 'VirtualService');
    if (object?.kind !== 'VirtualService') return;
    assert.deepEqual(object.spec.gateways, ['mesh']);
    const [first, second] = object.spec.http;
    assert.equal(first?.timeoutMs, 1500);
    assert.equal(first?.route[0]?.weight, 100);
    assert.deepEqual(first?.match[0]?.headers, {
      'end-user': { exact: 'jason' },
      'x-any': { present: true },
    });
    assert.deepEqual(first?.retries?.retryOn, ['5xx', 'retriable-status-codes']);
    assert.deepEqual(first?.retries?.retriableStatusCodes, [503]);
    assert.deepEqual(first?.mirrors, [
      { destination: { host: 'reviews', subset: 'v3' }, percentage: 100 },
    ]);
    assert.deepEqual(
      second?.route.map(({ weight }) => weight),
      [80, 20],
    );
    assert.equal(object.metadata.creationTimestampMs, Date.parse('2026-01-31T12:00:00Z'));
    assert.equal(object.metadata.generation, 3);
  });

  it('reads its own output back to the same object', () => {
    const { object } = parseOne(VIRTUAL_SERVICE);
    assert.ok(object);
    assert.deepEqual(parseObject(serializeObject(object)).object, object);
  });

  it('takes an AuthorizationPolicy without a spec as one that matches nothing', () => {
    const { object } = parseObject({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: 'deny' },
    });
    assert.deepEqual(object?.kind === 'AuthorizationPolicy' && object.spec, {
      targetRefs: [],
      rules: [],
      action: 'ALLOW',
    });
  });

  it('reads a Pod from its status', () => {
    const { object, findings } = parseObject({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a', namespace: 'shop', deletionTimestamp: '2026-01-01T00:00:00Z' },
      spec: {
        containers: [
          {
            name: 'main',
            command: ['node'],
            env: [
              { name: 'A', value: 'b' },
              { name: 'S', valueFrom: { secretKeyRef: {} } },
            ],
            readinessProbe: { httpGet: { path: '/ready', port: 8080 } },
          },
        ],
      },
      status: {
        podIPs: [{ ip: '10.0.0.7' }],
        phase: 'Running',
        conditions: [{ type: 'Ready', status: 'True' }],
      },
    });
    assert.deepEqual(findings, []);
    assert.ok(object?.kind === 'Pod');
    assert.deepEqual(object.status, {
      phase: 'Running',
      podIPs: ['10.0.0.7'],
      ready: true,
      terminating: true,
    });
    assert.deepEqual(object.spec.containers[0]?.env, [{ name: 'A', value: 'b' }]);
    assert.equal(object.spec.containers[0]?.readinessProbe?.periodSeconds, 10);
    assert.deepEqual(parseObject(serializeObject(object)).object, object);
  });

  it('reports every problem of one object at once, each with its path', () => {
    const { object, findings } = parseObject({
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'x', namespace: 'shop', labels: { version: 1 } },
      spec: {
        hosts: ['reviews'],
        http: [
          {
            route: [{ destination: { host: 'a' }, weigth: 5 }],
            timeout: 5,
            retries: { attempts: 1, retryOn: '5x' },
          },
        ],
      },
    });
    assert.equal(object, undefined);
    assert.deepEqual(
      findings.map(({ path, code }) => `${path} ${code}`),
      [
        'metadata.labels.version WRONG_TYPE',
        'spec.http[0].route[0].weigth UNKNOWN_FIELD',
        'spec.http[0].timeout INVALID_DURATION',
        'spec.http[0].retries.retryOn INVALID_VALUE',
      ],
    );
    assert.deepEqual(
      findings.map(({ fix }) => fix),
      ['quote it: "1"', 'did you mean weight?', 'give it a unit: 5s', 'write 5xx'],
    );
  });

  it('hides no error behind another of the same block', () => {
    const { findings } = parseObject({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'x' },
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: 'a' }],
        rules: [
          {
            filters: [
              {
                type: 'URLRewrite',
                urlRewrite: { path: { type: 'ReplaceFullPath' }, hostname: '*' },
                extra: 1,
              },
              {
                type: 'RequestMirror',
                requestMirror: { backendRef: {}, percent: 1, fraction: { numerator: 200 } },
              },
            ],
          },
        ],
      },
    });
    assert.deepEqual(findings.map(({ path }) => path).sort(), [
      'spec.rules[0].filters[0].extra',
      'spec.rules[0].filters[0].urlRewrite.hostname',
      'spec.rules[0].filters[0].urlRewrite.path',
      'spec.rules[0].filters[1].requestMirror.backendRef.name',
      'spec.rules[0].filters[1].requestMirror.fraction',
      'spec.rules[0].filters[1].requestMirror.fraction',
    ]);
  });

  it('has a budget for the regular expressions of one object', () => {
    const matching = (count: number, regex: string) => {
      const match = Array.from({ length: count }, (_, index) => ({
        uri: { regex: `${regex}${index}` },
      }));
      return parseObject({
        apiVersion: 'networking.istio.io/v1',
        kind: 'VirtualService',
        metadata: { name: 'x' },
        spec: { hosts: ['a'], http: [{ match, route: [{ destination: { host: 'a' } }] }] },
      });
    };
    assert.ok(matching(2_000, '/v[0-9]+/items/.*').object !== undefined);
    const { findings } = matching(2_000, '(a?){900}');
    const spent = findings.filter(({ message }) => message.includes('too many or too large'));
    assert.ok(spent.length > 1_000);
    assert.equal(spent[0]?.code, 'INVALID_REGEX');
    // The next object has a budget of its own.
    assert.ok(matching(1, '(a?){900}').object !== undefined);
  });

  it("runs nobody's code and survives fields named as methods", () => {
    const named = { toString: 1, toJSON: 1, valueOf: 1, constructor: 1 };
    for (const { kind } of supportedKinds()) {
      const sample = SAMPLES.find((object) => object['kind'] === kind);
      parseObject({ ...sample, spec: named });
      parseObject({ ...sample, metadata: { name: 'x', labels: named } });
    }
    parseObject({
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      metadata: { name: 'x' },
      spec: { host: named, trafficPolicy: { loadBalancer: { simple: named }, timeout: named } },
    });
  });

  it('knows where a field belongs', () => {
    const fixOf = (kind: string, spec: object) =>
      parseObject({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name: 'x' }, spec })
        .findings.filter(({ code }) => code === 'UNKNOWN_FIELD')
        .map(({ fix }) => fix);
    assert.deepEqual(fixOf('VirtualService', { host: 'a' }), ['did you mean hosts?']);
    assert.deepEqual(fixOf('VirtualService', { hosts: ['a'], http: [{ perTryTimeout: '1s' }] }), [
      'did you mean spec.http[0].retries.perTryTimeout?',
    ]);
    assert.deepEqual(fixOf('DestinationRule', { host: 'a', consecutive5xxErrors: 3 }), [
      'did you mean spec.trafficPolicy.outlierDetection.consecutive5xxErrors or spec.subsets[].trafficPolicy.outlierDetection.consecutive5xxErrors?',
    ]);
    assert.deepEqual(fixOf('DestinationRule', { host: 'a', zzz: 3 }), ['remove it']);
  });
});
