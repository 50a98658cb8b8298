import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseObject } from '../parse-object.ts';
import { errorsOf, type RuleRow } from '../testing/rule-table.ts';

const listener = { name: 'mesh', port: 15008, protocol: 'HBONE' };
const GATEWAY: readonly RuleRow[] = [
  ['a waypoint', { gatewayClassName: 'istio-waypoint', listeners: [listener] }, []],
  ['a waypoint of ours', { gatewayClassName: 'ambit-waypoint', listeners: [listener] }, []],
  [
    'labels, annotations and parameters of what is made for it',
    {
      gatewayClassName: 'istio-waypoint',
      listeners: [listener],
      infrastructure: {
        labels: { a: 'b' },
        annotations: { c: 'd' },
        parametersRef: { group: '', kind: 'ConfigMap', name: 'parameters' },
      },
    },
    [],
  ],
  [
    'parameters that are no ConfigMap',
    {
      gatewayClassName: 'istio-waypoint',
      listeners: [listener],
      infrastructure: { parametersRef: { group: '', kind: 'Secret', name: 'parameters' } },
    },
    ['INVALID_VALUE spec.infrastructure.parametersRef'],
  ],
  ['no listeners', { gatewayClassName: 'istio-waypoint' }, ['REQUIRED_FIELD spec.listeners']],
  [
    'a waypoint on port 80',
    { gatewayClassName: 'istio-waypoint', listeners: [{ ...listener, port: 80 }] },
    ['WAYPOINT_LISTENER spec.listeners'],
  ],
  [
    'a listener twice',
    { gatewayClassName: 'istio-waypoint', listeners: [listener, listener] },
    ['DUPLICATE spec.listeners[1].name'],
  ],
  [
    'a selector that is missing',
    {
      gatewayClassName: 'istio-waypoint',
      listeners: [{ ...listener, allowedRoutes: { namespaces: { from: 'Selector' } } }],
    },
    ['REQUIRED_FIELD spec.listeners[0].allowedRoutes.namespaces.selector'],
  ],
];

describe('names of what is made for a waypoint', () => {
  const NAME = 'gateway.istio.io/name-override';
  const ACCOUNT = 'gateway.istio.io/service-account';
  const rows: readonly (readonly [string, string, boolean])[] = [
    [NAME, 'front', true],
    [NAME, `a${'-'.repeat(61)}b`, true],
    [NAME, '1st', false],
    [NAME, 'Front', false],
    [NAME, 'front-', false],
    [NAME, 'a.b', false],
    [NAME, '', false],
    [NAME, `a${'b'.repeat(63)}`, false],
    [ACCOUNT, '1.front', true],
    [ACCOUNT, 'a/b', false],
    [ACCOUNT, `a${'b'.repeat(253)}`, false],
  ];
  for (const [annotation, name, isName] of rows) {
    it(`${isName ? 'takes' : 'refuses'} "${name.slice(0, 20)}" for ${annotation}`, () => {
      const { findings } = parseObject({
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'Gateway',
        metadata: { name: 'mine', namespace: 'shop', annotations: { [annotation]: name } },
        spec: { gatewayClassName: 'istio-waypoint', listeners: [listener] },
      });
      const errors = findings.filter(({ severity }) => severity === 'error');
      assert.equal(errors.length, isName ? 0 : 1);
      if (!isName) assert.match(errors[0]?.path ?? '', /metadata\.annotations/);
    });
  }
});

describe('the inbound binding of a waypoint', () => {
  const ANNOTATION = 'ambient.istio.io/waypoint-inbound-binding';
  const PATH = `metadata.annotations["${ANNOTATION}"]`;
  const addresses = [{ type: 'IPAddress', value: '10.96.0.9' }];
  const bound = { name: 'mesh', port: 15088, protocol: 'istio.io/PROXY' };
  const say = (binding: string, spec: object, gatewayClassName = 'istio-waypoint') =>
    parseObject({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: { name: 'mine', namespace: 'shop', annotations: { [ANNOTATION]: binding } },
      spec: { gatewayClassName, listeners: [listener], ...spec },
    }).findings.filter(({ severity }) => severity === 'error');
  const rows: readonly (readonly [string, string, object, readonly string[]])[] = [
    ['a proxy that somebody else runs', 'PROXY/15088', { addresses }, []],
    ['one that reads on the port that is asked for', 'PROXY', { addresses }, []],
    ['one with a listener of its own port', 'PROXY/15088', { addresses, listeners: [bound] }, []],
    ['one without PROXY protocol', 'NONE/8080', { addresses }, []],
    ['what it is without the annotation', 'NONE', {}, []],
    ['no port', 'PROXY/', { addresses }, [`INVALID_VALUE ${PATH}`]],
    ['a port that is none', 'PROXY/99999', { addresses }, [`INVALID_VALUE ${PATH}`]],
    ['the port of the agent', 'PROXY/15008', { addresses }, [`INVALID_VALUE ${PATH}`]],
    ['an unknown protocol', 'HTTP/80', { addresses }, [`INVALID_VALUE ${PATH}`]],
    ['nothing', '', { addresses }, [`INVALID_VALUE ${PATH}`]],
    ['a waypoint that is made here', 'PROXY/15088', {}, [`WAYPOINT_BINDING ${PATH}`]],
    [
      'a listener of a proxy for one that is made here',
      'NONE',
      { listeners: [bound] },
      ['WAYPOINT_LISTENER spec.listeners'],
    ],
    [
      'a listener of another port',
      'PROXY/15088',
      { addresses, listeners: [{ ...listener, port: 80 }] },
      ['WAYPOINT_LISTENER spec.listeners'],
    ],
  ];
  for (const [title, binding, spec, expected] of rows) {
    it(`${expected.length === 0 ? 'takes' : 'refuses'} ${title}`, () => {
      const found = say(binding, spec);
      assert.deepEqual(
        found.map(({ code, path }) => `${code} ${path}`),
        expected,
      );
      if (binding === 'PROXY/99999') assert.equal(found[0]?.found, '"PROXY/99999"');
      for (const { code, allowed, fix } of found) {
        if (code !== 'WAYPOINT_LISTENER') assert.ok(fix, 'says what to write');
        if (code === 'INVALID_VALUE') assert.match(allowed ?? '', /PROXY\/PORT/);
      }
    });
  }

  const ofClass = (binding: string) =>
    parseObject({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'GatewayClass',
      metadata: { name: 'other', annotations: { [ANNOTATION]: binding } },
      spec: { controllerName: 'example.com/proxies' },
    }).findings;
  for (const [binding, isGood] of [
    ['PROXY/15088', true],
    ['NONE', true],
    ['PROXY/15088 ', false],
    ['proxy/15088', false],
    ['PROXY/99999', false],
    ['', false],
  ] as const) {
    const expected = isGood ? [] : [`INVALID_VALUE ${PATH}`];
    it(`is ${isGood ? 'taken' : 'refused'} on a Gateway of any class, and on a class: "${binding}"`, () => {
      for (const found of [say(binding, {}, 'kgateway-waypoint'), ofClass(binding)]) {
        assert.deepEqual(
          found.map(({ code, path }) => `${code} ${path}`),
          expected,
        );
        if (!isGood) assert.match(found[0]?.fix ?? '', /PROXY\/15088/);
      }
    });
  }
});

const parentRefs = [{ group: '', kind: 'Service', name: 'a' }];
const httpRoute = (more: object) => ({
  parentRefs,
  rules: [{ backendRefs: [{ name: 'a', port: 80 }], ...more }],
});
const HTTP_ROUTE: readonly RuleRow[] = [
  ['a backend', httpRoute({}), []],
  [
    'a Service without its group',
    { ...httpRoute({}), parentRefs: [{ kind: 'Service', name: 'a' }] },
    ['INVALID_VALUE spec.parentRefs[0].group'],
  ],
  [
    'a parent twice',
    { ...httpRoute({}), parentRefs: [...parentRefs, ...parentRefs] },
    ['DUPLICATE spec.parentRefs[1]'],
  ],
  [
    'a path without slash',
    httpRoute({ matches: [{ path: { value: 'a' } }] }),
    ['INVALID_PATH spec.rules[0].matches[0].path.value'],
  ],
  [
    'a bad regular expression',
    httpRoute({ matches: [{ path: { type: 'RegularExpression', value: '(' } }] }),
    ['INVALID_REGEX spec.rules[0].matches[0].path.value'],
  ],
  [
    '17 headers',
    httpRoute({
      matches: [{ headers: Array.from({ length: 17 }, (_, i) => ({ name: `a${i}`, value: 'b' })) }],
    }),
    ['OUT_OF_RANGE spec.rules[0].matches[0].headers'],
  ],
  [
    'a filter of another type',
    httpRoute({ filters: [{ type: 'URLRewrite', requestRedirect: {} }] }),
    [
      'CONFLICTING_FIELDS spec.rules[0].filters[0].requestRedirect',
      'REQUIRED_FIELD spec.rules[0].filters[0].urlRewrite',
    ],
  ],
  [
    'an extension, which is not ignored',
    httpRoute({ filters: [{ type: 'ExtensionRef' }] }),
    ['INVALID_VALUE spec.rules[0].filters[0].type'],
  ],
  [
    'redirect with backends',
    httpRoute({ filters: [{ type: 'RequestRedirect', requestRedirect: { scheme: 'https' } }] }),
    ['CONFLICTING_FIELDS spec.rules[0].backendRefs'],
  ],
  [
    'two rewrites',
    httpRoute({
      filters: [
        { type: 'URLRewrite', urlRewrite: {} },
        { type: 'URLRewrite', urlRewrite: {} },
      ],
    }),
    ['DUPLICATE spec.rules[0].filters[1]'],
  ],
  [
    'a prefix for an exact path',
    httpRoute({
      matches: [{ path: { type: 'Exact', value: '/' } }],
      filters: [
        {
          type: 'URLRewrite',
          urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' } },
        },
      ],
    }),
    ['CONFLICTING_FIELDS spec.rules[0].filters[0].urlRewrite.path'],
  ],
  [
    'a backend timeout beyond the whole',
    httpRoute({ timeouts: { request: '1s', backendRequest: '2s' } }),
    ['OUT_OF_RANGE spec.rules[0].timeouts.backendRequest'],
  ],
  ['an unknown field', httpRoute({ timeout: '1s' }), ['UNKNOWN_FIELD spec.rules[0].timeout']],
];
const TCP_ROUTE: readonly RuleRow[] = [
  ['a backend', { parentRefs, rules: [{ backendRefs: [{ name: 'a', port: 1 }] }] }, []],
  [
    'two rules',
    {
      parentRefs,
      rules: [{ backendRefs: [{ name: 'a', port: 1 }] }, { backendRefs: [{ name: 'a', port: 1 }] }],
    },
    ['OUT_OF_RANGE spec.rules'],
  ],
  ['no backend', { parentRefs, rules: [{}] }, ['REQUIRED_FIELD spec.rules[0].backendRefs']],
];

const grpcRoute = (method: object | undefined, more: object = {}) => ({
  parentRefs,
  rules: [{ matches: [{ ...(method === undefined ? {} : { method }) }], ...more }],
});
const METHOD = 'spec.rules[0].matches[0].method';
const GRPC_ROUTE: readonly RuleRow[] = [
  ['every method', grpcRoute(undefined), []],
  ['no matches', { parentRefs, rules: [{ backendRefs: [{ name: 'a', port: 1 }] }] }, []],
  ['a service and a method', grpcRoute({ service: 'shop.v1.Reviews', method: 'Get' }), []],
  ['a service alone', grpcRoute({ type: 'Exact', service: '.shop.Reviews' }), []],
  ['a method alone', grpcRoute({ method: 'Get' }), []],
  ['patterns', grpcRoute({ type: 'RegularExpression', service: 'a.*', method: 'Get|List' }), []],
  ['neither service nor method', grpcRoute({}), [`REQUIRED_FIELD ${METHOD}`]],
  ['empty names', grpcRoute({ service: '', method: '' }), [`REQUIRED_FIELD ${METHOD}`]],
  [
    'a path as a service',
    grpcRoute({ service: '/shop.Reviews' }),
    [`INVALID_VALUE ${METHOD}.service`],
  ],
  ['a pattern that is none', grpcRoute({ method: 'Get|List' }), [`INVALID_VALUE ${METHOD}.method`]],
  [
    'a broken pattern',
    grpcRoute({ type: 'RegularExpression', service: '(' }),
    [`INVALID_REGEX ${METHOD}.service`],
  ],
  [
    'patterns that balance only together',
    grpcRoute({ type: 'RegularExpression', service: 'a)(', method: 'b' }),
    [`INVALID_REGEX ${METHOD}.service`],
  ],
  [
    'patterns that are too long together',
    grpcRoute({ type: 'RegularExpression', service: 'a'.repeat(600), method: 'b'.repeat(600) }),
    [`INVALID_REGEX ${METHOD}`],
  ],
  [
    'an unknown type',
    grpcRoute({ type: 'Prefix', method: 'Get' }),
    [`INVALID_VALUE ${METHOD}.type`],
  ],
  [
    'a redirect',
    grpcRoute(undefined, { filters: [{ type: 'RequestRedirect', requestRedirect: {} }] }),
    [
      'INVALID_VALUE spec.rules[0].filters[0].type',
      'UNKNOWN_FIELD spec.rules[0].filters[0].requestRedirect',
    ],
  ],
  [
    'a filter without its field',
    grpcRoute(undefined, { filters: [{ type: 'RequestMirror' }] }),
    ['REQUIRED_FIELD spec.rules[0].filters[0].requestMirror'],
  ],
  [
    'a header that is none',
    { parentRefs, rules: [{ matches: [{ headers: [{ name: 'a b', value: '1' }] }] }] },
    ['INVALID_HEADER_NAME spec.rules[0].matches[0].headers[0].name'],
  ],
  [
    'an unknown field',
    grpcRoute(undefined, { timeouts: {} }),
    ['UNKNOWN_FIELD spec.rules[0].timeouts'],
  ],
];
const from = [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'a' }];
const to = [{ group: '', kind: 'Service' }];
const REFERENCE_GRANT: readonly RuleRow[] = [
  ['all of a kind', { from, to }, []],
  ['one by name', { from, to: [{ ...to[0], name: 'x' }] }, []],
  ['nobody', { from: [], to }, ['REQUIRED_FIELD spec.from']],
  ['nothing', { from }, ['REQUIRED_FIELD spec.to']],
  [
    'someone without a namespace',
    { from: [{ ...from[0], namespace: '' }], to },
    ['REQUIRED_FIELD spec.from[0].namespace'],
  ],
  ['an unknown field', { from, to, for: [] }, ['UNKNOWN_FIELD spec.for']],
];
const GATEWAY_CLASS: readonly RuleRow[] = [
  ['a controller', { controllerName: 'ambit.io/mesh-controller' }, []],
  ['nobody', {}, ['REQUIRED_FIELD spec.controllerName']],
];

const TABLES = {
  Gateway: GATEWAY,
  GatewayClass: GATEWAY_CLASS,
  HTTPRoute: HTTP_ROUTE,
  GRPCRoute: GRPC_ROUTE,
  TCPRoute: TCP_ROUTE,
  ReferenceGrant: REFERENCE_GRANT,
};
for (const [kind, table] of Object.entries(TABLES)) {
  describe(`rules of ${kind}`, () => {
    for (const [title, spec, says] of table) {
      it(`${says.length > 0 ? 'refuses' : 'accepts'} ${title}`, () => {
        assert.deepEqual(errorsOf(kind, spec), says);
      });
    }
  });
}
