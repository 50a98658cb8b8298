import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseSpec } from '../testing/rule-table.ts';

const route = (host = 'a', more: object = {}) => ({ destination: { host }, ...more });
const http = (rule: object) => ({ hosts: ['a'], http: [{ route: [route()], ...rule }] });

const source = (fields: object) => ({ rules: [{ from: [{ source: fields }] }] });
const httpRoute = (more: object) => ({
  parentRefs: [{ group: '', kind: 'Service', name: 'a' }],
  rules: [{ backendRefs: [{ name: 'a', port: 80 }], ...more }],
});

describe('warnings', () => {
  const warningsOf = (kind: string, spec: unknown) =>
    parseSpec(kind, spec).findings.map(({ severity, code, path }) => `${severity} ${code} ${path}`);
  const ROWS: readonly (readonly [kind: string, spec: unknown, says: readonly string[]])[] = [
    [
      'VirtualService',
      { hosts: ['a'], http: [{ route: [route()] }, { match: [{ port: 80 }], route: [route()] }] },
      ['warning UNREACHABLE_RULE spec.http[1]'],
    ],
    [
      'VirtualService',
      {
        hosts: ['a'],
        http: [
          { match: [{ port: 80 }], route: [route()] },
          { match: [{ name: 'x', port: 80 }], route: [route()] },
        ],
      },
      ['warning UNREACHABLE_RULE spec.http[1].match[0]'],
    ],
    [
      'VirtualService',
      { ...http({}), hosts: ['reviews.prod'] },
      ['info HOST_NOT_COMPLETED spec.hosts[0]'],
    ],
    ['VirtualService', http({ retries: {} }), ['warning NO_RETRIES spec.http[0].retries']],
    [
      'VirtualService',
      http({ fault: { abort: { httpStatus: 500 } } }),
      ['warning FAULT_NEVER spec.http[0].fault.abort'],
    ],
    [
      'VirtualService',
      http({ route: [route('a', { weight: 1 }), route('b')] }),
      ['warning MISSING_WEIGHT spec.http[0].route[1]', 'info WEIGHTS_NOT_100 spec.http[0].route'],
    ],
    [
      'VirtualService',
      http({ delegate: { name: 'x' }, route: undefined }),
      ['warning UNSUPPORTED_FIELD spec.http[0].delegate'],
    ],
    [
      'DestinationRule',
      { host: 'a', trafficPolicy: { tls: { mode: 'SIMPLE' } } },
      ['warning UNSUPPORTED_FIELD spec.trafficPolicy.tls.mode'],
    ],
    [
      'DestinationRule',
      { host: 'a', trafficPolicy: { loadBalancer: { warmup: { duration: '1s' } } } },
      ['warning UNSUPPORTED_FIELD spec.trafficPolicy.loadBalancer.warmup'],
    ],
    ['DestinationRule', { host: 'a' }, ['warning NO_EFFECT spec']],
    [
      'ServiceEntry',
      { hosts: ['a.b'], ports: [{ number: 1 }] },
      ['warning ADDRESS_REQUIRED spec.ports[0]'],
    ],
    [
      'AuthorizationPolicy',
      source({ principals: ['*/sa/a', 'default'] }),
      ['warning PRINCIPAL_NEVER_MATCHES spec.rules[0].from[0].source.principals[1]'],
    ],
    ['AuthorizationPolicy', undefined, ['info DENIES_ALL spec']],
    [
      'PeerAuthentication',
      { mtls: { mode: 'DISABLE' } },
      ['warning UNSUPPORTED_FIELD spec.mtls.mode'],
    ],
    [
      'HTTPRoute',
      { parentRefs: [{ name: 'gw' }], rules: [{ backendRefs: [{ name: 'a', port: 80 }] }] },
      ['warning UNSUPPORTED_FIELD spec.parentRefs[0]'],
    ],
    [
      'HTTPRoute',
      httpRoute({ backendRefs: [{ name: 'a' }] }),
      ['warning INVALID_BACKEND spec.rules[0].backendRefs[0]'],
    ],
  ];
  for (const [kind, spec, says] of ROWS) {
    it(`says ${says.join(', ')} of a ${kind}`, () =>
      assert.deepEqual(warningsOf(kind, spec), says));
  }
});
