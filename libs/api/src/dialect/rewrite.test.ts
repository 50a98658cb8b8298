import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseObject } from '../parse-object.ts';
import { parseYaml } from '../yaml.ts';
import { rewriteDocument } from './rewrite.ts';

const DESTINATION_RULE = `# The reviews service.
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata:
  name: reviews # short name
spec:
  host: reviews
  trafficPolicy:
    loadBalancer:
      simple: LEAST_CONN # fewest connections
    # Stop asking the sick.
    circuitBreaker:
      # three strikes
      consecutiveErrors: 3
      interval: 30s # sweep
    connectionPool:
      tcp:
        keepAlive:
          time: 7200s
  subsets:
  - name: v1
    labels:
      version: 1
`;

describe('rewriteDocument', () => {
  it('writes the official form and keeps comments', () => {
    const { text, findings } = rewriteDocument(DESTINATION_RULE);
    assert.equal(
      text,
      `# The reviews service.
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata:
  name: reviews # short name
spec:
  host: reviews
  trafficPolicy:
    loadBalancer:
      simple: LEAST_REQUEST # fewest connections
    connectionPool:
      tcp:
        tcpKeepalive:
          time: 7200s
    # Stop asking the sick.
    outlierDetection:
      # three strikes
      consecutive5xxErrors: 3
      interval: 30s # sweep
  subsets:
  - name: v1
    labels:
      version: "1"
`,
    );
    assert.equal(findings.length, 5);
  });

  it('is done after one run', () => {
    const { text } = rewriteDocument(DESTINATION_RULE);
    const again = rewriteDocument(text);
    assert.equal(again.text, text);
    assert.deepEqual(again.findings, []);
    const { findings } = parseObject(parseYaml(text, { source: 'x' }).documents[0]?.value);
    assert.deepEqual(
      findings.filter(({ code }) => code.startsWith('DIALECT')),
      [],
    );
  });

  it('leaves other documents as they are, to the byte', () => {
    const odd = '---\nkind:   ConfigMap   # odd\ndata: { a:   1 }\n';
    const { text } = rewriteDocument(`${odd}---\n${DESTINATION_RULE}`);
    assert.ok(text.startsWith(odd));
    assert.ok(text.includes('\n---\n# The reviews service.\n'));
    assert.equal(rewriteDocument(odd).text, odd);
  });

  it('leaves broken text alone', () => {
    for (const text of ['a: [', '\t', 'a: 1\na: 2\n', ''])
      assert.equal(rewriteDocument(text).text, text);
  });

  const FIXES: readonly (readonly [title: string, kind: string, before: string, after: string])[] =
    [
      [
        'a port',
        'VirtualService',
        '{hosts: [a], http: [{route: [{destination: {host: a, port: 80}}]}]}',
        '{hosts: [a], http: [{route: [{destination: {host: a, port: {number: 80}}}]}]}',
      ],
      [
        'a percentage',
        'VirtualService',
        '{hosts: [a], http: [{route: [{destination: {host: a}}], mirror: {host: b}, mirrorPercentage: 5}]}',
        '{hosts: [a], http: [{route: [{destination: {host: a}}], mirror: {host: b}, mirrorPercentage: {value: 5}}]}',
      ],
      [
        'an old percentage',
        'VirtualService',
        '{hosts: [a], http: [{route: [{destination: {host: a}}], mirror: {host: b}, mirrorPercent: 5}]}',
        '{hosts: [a], http: [{route: [{destination: {host: a}}], mirror: {host: b}, mirrorPercentage: {value: 5}}]}',
      ],
      [
        'a match that is no list',
        'VirtualService',
        '{hosts: [a], http: [{match: {port: 80}, route: [{destination: {host: a}}]}]}',
        '{hosts: [a], http: [{match: [{port: 80}], route: [{destination: {host: a}}]}]}',
      ],
      [
        'a source that is missing',
        'AuthorizationPolicy',
        '{rules: [{from: [{principals: ["spiffe://td/ns/a/sa/b"]}], to: [{methods: [GET], ports: [80]}]}]}',
        '{rules: [{from: [{source: {principals: [td/ns/a/sa/b]}}], to: [{operation: {methods: [GET], ports: ["80"]}}]}]}',
      ],
      [
        'an action in lower case',
        'AuthorizationPolicy',
        '{action: deny, rules: [{}]}',
        '{action: DENY, rules: [{}]}',
      ],
      [
        'targetRef',
        'AuthorizationPolicy',
        '{targetRef: {kind: Service, name: a}, rules: [{}]}',
        '{targetRefs: [{kind: Service, name: a}], rules: [{}]}',
      ],
      [
        'a mode in lower case',
        'PeerAuthentication',
        '{mtls: {mode: strict}}',
        '{mtls: {mode: STRICT}}',
      ],
      [
        'a timeout as one text',
        'DestinationRule',
        '{host: a, trafficPolicy: {timeout: 5s, tls: {mode: DISABLE}}}',
        '{host: a, trafficPolicy: {timeout: {http: 5s}, tls: {mode: DISABLE}}}',
      ],
      [
        'a subset',
        'DestinationRule',
        '{host: a, subsets: [{name: v1, labels: {v: "1"}, trafficPolicy: {portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: LEAST_CONN}}]}}]}',
        '{host: a, subsets: [{name: v1, labels: {v: "1"}, trafficPolicy: {portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: LEAST_REQUEST}}]}}]}',
      ],
    ];
  for (const [title, kind, before, after] of FIXES) {
    it(`fixes ${title}`, () => {
      const group = kind.endsWith('Policy') || kind.endsWith('tion') ? 'security' : 'networking';
      const wrap = (spec: string) =>
        `apiVersion: ${group}.istio.io/v1\nkind: ${kind}\nmetadata: {name: x}\nspec: ${spec}\n`;
      const yamlOf = (text: string) => parseYaml(text, { source: 'x' }).documents[0]?.value;
      const fixed = rewriteDocument(wrap(before));
      assert.deepEqual(yamlOf(fixed.text), yamlOf(wrap(after)));
      assert.ok(fixed.findings.length > 0);
      const { findings } = parseObject(yamlOf(fixed.text));
      assert.deepEqual(
        findings.filter(({ severity }) => severity === 'error'),
        [],
      );
    });
  }

  it('fixes the items of a List', () => {
    const { text } = rewriteDocument(
      'apiVersion: v1\nkind: List\nitems:\n- apiVersion: security.istio.io/v1\n  kind: PeerAuthentication\n  metadata: {name: x}\n  spec: {mtls: {mode: strict}}\n',
    );
    assert.match(text, /mode: STRICT/);
  });
});

describe('wrong forms', () => {
  it('are refused once, with the fix', () => {
    const { object, findings } = parseObject({
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'x' },
      spec: { hosts: ['a'], http: [{ route: [{ destination: { host: 'a', port: 80 } }] }] },
    });
    assert.equal(object, undefined);
    assert.deepEqual(findings, [
      {
        code: 'DIALECT_WRONG',
        severity: 'error',
        path: 'spec.http[0].route[0].destination.port',
        message: 'must be an object with number',
        found: '80',
        fix: 'write it as spec.http[0].route[0].destination.port.number',
      },
    ]);
  });
});
