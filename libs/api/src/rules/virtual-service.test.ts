import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errorsOf, type RuleRow } from '../testing/rule-table.ts';

const route = (host = 'a', more: object = {}) => ({ destination: { host }, ...more });
const http = (rule: object) => ({ hosts: ['a'], http: [{ route: [route()], ...rule }] });

const VIRTUAL_SERVICE: readonly RuleRow[] = [
  ['a rule with a route', http({}), []],
  ['a rule without an action', { hosts: ['a'], http: [{}] }, ['CONFLICTING_FIELDS spec.http[0]']],
  ['route and redirect', http({ redirect: { uri: '/x' } }), ['CONFLICTING_FIELDS spec.http[0]']],
  ['no rules at all', { hosts: ['a'] }, ['REQUIRED_FIELD spec']],
  ['no spec', undefined, ['REQUIRED_FIELD spec']],
  ['"*" in the mesh', { ...http({}), hosts: ['*'] }, ['INVALID_HOST spec.hosts[0]']],
  ['the same host twice', { ...http({}), hosts: ['a', 'A'] }, ['DUPLICATE spec.hosts[1]']],
  [
    'a wildcard over a listed host',
    { ...http({}), hosts: ['*.b.c', 'a.b.c'] },
    ['DUPLICATE spec.hosts[0]'],
  ],
  ['a host with a scheme', { ...http({}), hosts: ['http://a'] }, ['INVALID_HOST spec.hosts[0]']],
  [
    'a destination with a port in its host',
    http({ route: [route('a:80')] }),
    ['INVALID_HOST spec.http[0].route[0].destination.host'],
  ],
  [
    'weights of 80 and 20',
    http({ route: [route('a', { weight: 80 }), route('b', { weight: 20 })] }),
    [],
  ],
  [
    'weights of 0',
    http({ route: [route('a', { weight: 0 }), route('b', { weight: 0 })] }),
    ['INVALID_WEIGHT spec.http[0].route'],
  ],
  [
    'no weights for two',
    http({ route: [route('a'), route('b')] }),
    ['INVALID_WEIGHT spec.http[0].route'],
  ],
  [
    'a negative weight',
    http({ route: [route('a', { weight: -1 })] }),
    ['OUT_OF_RANGE spec.http[0].route[0].weight'],
  ],
  [
    'mirror and mirrors',
    http({ mirror: { host: 'b' }, mirrors: [{ destination: { host: 'b' } }] }),
    ['CONFLICTING_FIELDS spec.http[0].mirrors'],
  ],
  [
    'a percentage over 100',
    http({ mirror: { host: 'b' }, mirrorPercentage: { value: 101 } }),
    ['OUT_OF_RANGE spec.http[0].mirrorPercentage.value'],
  ],
  ['a regular expression of RE2', http({ match: [{ uri: { regex: '/a(b|c)+' } }] }), []],
  [
    'look-ahead',
    http({ match: [{ uri: { regex: '/a(?=b)' } }] }),
    ['INVALID_REGEX spec.http[0].match[0].uri.regex'],
  ],
  [
    'a regular expression of 1025 characters',
    http({ match: [{ uri: { regex: 'a'.repeat(1025) } }] }),
    ['INVALID_REGEX spec.http[0].match[0].uri.regex'],
  ],
  [
    'one that compiles to too much',
    http({ match: [{ uri: { regex: '(a{100}b{100}){5}'.repeat(10) } }] }),
    ['INVALID_REGEX spec.http[0].match[0].uri.regex'],
  ],
  [
    'two ways to match',
    http({ match: [{ uri: { exact: '/a', prefix: '/b' } }] }),
    ['CONFLICTING_FIELDS spec.http[0].match[0].uri'],
  ],
  [
    'an empty prefix',
    http({ match: [{ uri: { prefix: '' } }] }),
    ['INVALID_VALUE spec.http[0].match[0].uri.prefix'],
  ],
  [
    'an unknown way to match',
    http({ match: [{ uri: { exakt: '/a' } }] }),
    ['UNKNOWN_FIELD spec.http[0].match[0].uri.exakt'],
  ],
  [
    'uri among the headers',
    http({ match: [{ headers: { uri: { exact: '/a' } } }] }),
    ['INVALID_HEADER_NAME spec.http[0].match[0].headers.uri'],
  ],
  [
    'a header name with a space',
    http({ match: [{ headers: { 'a b': {} } }] }),
    ['INVALID_HEADER_NAME spec.http[0].match[0].headers["a b"]'],
  ],
  [
    'one header twice',
    http({ match: [{ headers: { a: {}, A: {} } }] }),
    ['DUPLICATE spec.http[0].match[0].headers.A'],
  ],
  [
    'a redirect to nowhere',
    { hosts: ['a'], http: [{ redirect: {} }] },
    ['REQUIRED_FIELD spec.http[0].redirect'],
  ],
  [
    'redirect code 304',
    { hosts: ['a'], http: [{ redirect: { uri: '/', redirectCode: 304 } }] },
    ['INVALID_VALUE spec.http[0].redirect.redirectCode'],
  ],
  [
    'prefixRewrite without prefix',
    { hosts: ['a'], http: [{ redirect: { prefixRewrite: '/b' } }] },
    ['CONFLICTING_FIELDS spec.http[0].redirect.prefixRewrite'],
  ],
  [
    'redirect with fault',
    {
      hosts: ['a'],
      http: [
        {
          redirect: { uri: '/' },
          fault: { delay: { percentage: { value: 1 }, fixedDelay: '1s' } },
        },
      ],
    },
    ['CONFLICTING_FIELDS spec.http[0].fault'],
  ],
  [
    'a direct response of 199',
    { hosts: ['a'], http: [{ directResponse: { status: 199 } }] },
    ['OUT_OF_RANGE spec.http[0].directResponse.status'],
  ],
  ['a direct response of 200', { hosts: ['a'], http: [{ directResponse: { status: 200 } }] }, []],
  [
    'a body of two forms',
    {
      hosts: ['a'],
      http: [{ directResponse: { status: 200, body: { string: 'a', bytes: 'YQ==' } } }],
    },
    ['CONFLICTING_FIELDS spec.http[0].directResponse.body'],
  ],
  [
    'a body over 1 MB',
    {
      hosts: ['a'],
      http: [{ directResponse: { status: 200, body: { string: 'x'.repeat(1_048_577) } } }],
    },
    ['OBJECT_LIMIT spec.http[0].directResponse.body.string'],
  ],
  ['an empty fault', http({ fault: {} }), ['REQUIRED_FIELD spec.http[0].fault']],
  [
    'an abort of two statuses',
    http({ fault: { abort: { percentage: { value: 1 }, httpStatus: 500, grpcStatus: 'OK' } } }),
    ['CONFLICTING_FIELDS spec.http[0].fault.abort'],
  ],
  [
    'an unknown gRPC status',
    http({ fault: { abort: { percentage: { value: 1 }, grpcStatus: 'unavailable' } } }),
    ['INVALID_VALUE spec.http[0].fault.abort.grpcStatus'],
  ],
  ['an empty rewrite', http({ rewrite: {} }), ['REQUIRED_FIELD spec.http[0].rewrite']],
  [
    'a rewrite of two kinds',
    http({ rewrite: { uri: '/', uriRegexRewrite: { match: 'a', rewrite: 'b' } } }),
    ['CONFLICTING_FIELDS spec.http[0].rewrite.uriRegexRewrite'],
  ],
  [
    'attempts below 0',
    http({ retries: { attempts: -1 } }),
    ['OUT_OF_RANGE spec.http[0].retries.attempts'],
  ],
  [
    'perTryTimeout of 0',
    http({ retries: { attempts: 1, perTryTimeout: '0s' } }),
    ['INVALID_DURATION spec.http[0].retries.perTryTimeout'],
  ],
  ['a timeout of 0', http({ timeout: '0s' }), []],
  [
    'a pseudo header',
    http({ headers: { request: { set: { ':path': '/' } } } }),
    ['INVALID_HEADER_NAME spec.http[0].headers.request.set[":path"]'],
  ],
  ['Host set once', http({ headers: { request: { set: { Host: 'b' } } } }), []],
  [
    'Host set beside rewrite.authority',
    http({ headers: { request: { set: { Host: 'b' } } }, rewrite: { authority: 'c' } }),
    ['DUPLICATE spec.http[0].headers.request.set.Host'],
  ],
  [
    'Host added',
    http({ headers: { request: { add: { Host: 'b' } } } }),
    ['INVALID_HEADER_NAME spec.http[0].headers.request.add.Host'],
  ],
  [
    'a header with a line break',
    http({ headers: { request: { set: { a: 'b\r\nc' } } } }),
    ['INVALID_VALUE spec.http[0].headers.request.set.a'],
  ],
  [
    'a CORS method in lower case',
    http({ corsPolicy: { allowMethods: ['get'] } }),
    ['INVALID_VALUE spec.http[0].corsPolicy.allowMethods[0]'],
  ],
  [
    'a CORS age of half a second',
    http({ corsPolicy: { maxAge: '500ms' } }),
    ['INVALID_DURATION spec.http[0].corsPolicy.maxAge'],
  ],
  [
    'a delegate with gateways',
    { gateways: ['g'], http: [{ route: [route()] }] },
    ['REQUIRED_FIELD spec.hosts'],
  ],
  [
    'tls without sniHosts',
    { hosts: ['a'], tls: [{ match: [{ port: 443 }], route: [route()] }] },
    ['REQUIRED_FIELD spec.tls[0].match[0].sniHosts'],
  ],
  [
    'tls with a foreign name',
    { hosts: ['a'], tls: [{ match: [{ sniHosts: ['b'] }], route: [route()] }] },
    ['INVALID_HOST spec.tls[0].match[0].sniHosts[0]'],
  ],
  ['tcp without a route', { hosts: ['a'], tcp: [{}] }, ['REQUIRED_FIELD spec.tcp[0].route']],
  [
    'tcp with a bad subnet',
    { hosts: ['a'], tcp: [{ match: [{ destinationSubnets: ['10.0.0.0/33'] }], route: [route()] }] },
    ['INVALID_ADDRESS spec.tcp[0].match[0].destinationSubnets[0]'],
  ],
  [
    'exportTo of * and another',
    { ...http({}), exportTo: ['*', 'shop'] },
    ['CONFLICTING_FIELDS spec.exportTo[0]'],
  ],
];

const TABLES = { VirtualService: VIRTUAL_SERVICE };
for (const [kind, table] of Object.entries(TABLES)) {
  describe(`rules of ${kind}`, () => {
    for (const [title, spec, says] of table) {
      it(`${says.length > 0 ? 'refuses' : 'accepts'} ${title}`, () => {
        assert.deepEqual(errorsOf(kind, spec), says);
      });
    }
  });
}
