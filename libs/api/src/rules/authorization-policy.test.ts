import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errorsOf, type RuleRow } from '../testing/rule-table.ts';

const rule = (more: object) => ({ rules: [more] });
const source = (fields: object) => rule({ from: [{ source: fields }] });
const operation = (fields: object) => rule({ to: [{ operation: fields }] });
const AUTHORIZATION_POLICY: readonly RuleRow[] = [
  ['an empty rule', rule({}), []],
  ['DENY without rules', { action: 'DENY' }, ['REQUIRED_FIELD spec.rules']],
  ['an empty from', rule({ from: [] }), ['EMPTY_LIST spec.rules[0].from']],
  ['an empty source', source({}), ['REQUIRED_FIELD spec.rules[0].from[0].source']],
  [
    'an empty list of principals',
    source({ principals: [] }),
    ['EMPTY_LIST spec.rules[0].from[0].source.principals'],
  ],
  ['an empty operation', operation({}), ['REQUIRED_FIELD spec.rules[0].to[0].operation']],
  ['no source', rule({ from: [{}] }), ['REQUIRED_FIELD spec.rules[0].from[0].source']],
  ['serviceAccounts', source({ serviceAccounts: ['shop/a', 'b'] }), []],
  [
    'serviceAccounts with a wildcard',
    source({ serviceAccounts: ['shop/*'] }),
    ['INVALID_VALUE spec.rules[0].from[0].source.serviceAccounts[0]'],
  ],
  [
    'serviceAccounts and namespaces',
    source({ serviceAccounts: ['a'], namespaces: ['b'] }),
    ['CONFLICTING_FIELDS spec.rules[0].from[0].source.namespaces'],
  ],
  [
    'a bad CIDR',
    source({ ipBlocks: ['10.0.0.0/40'] }),
    ['INVALID_ADDRESS spec.rules[0].from[0].source.ipBlocks[0]'],
  ],
  [
    'a port as a word',
    operation({ ports: ['http'] }),
    ['INVALID_VALUE spec.rules[0].to[0].operation.ports[0]'],
  ],
  [
    'a method in lower case',
    operation({ methods: ['get'] }),
    ['METHOD_CASE spec.rules[0].to[0].operation.methods[0]'],
  ],
  [
    'hosts that requests may have',
    operation({
      hosts: ['10.0.0.1', '10.0.0.1:80', '[fd00::1]:80', 'a.b', 'a.2024', '10.*', '*.1', '*'],
    }),
    [],
  ],
  ...['10.0.0.01', '0x0a.0.0.1', '167772161:80', '10.0.0.1.', 'x..', 'x:080', 'x:0'].flatMap(
    (host): readonly RuleRow[] => [
      [
        `an address in the spelling ${host}`,
        operation({ hosts: [host] }),
        ['INVALID_HOST spec.rules[0].to[0].operation.hosts[0]'],
      ],
      [
        `what is not at an address in the spelling ${host}`,
        operation({ notHosts: ['a', host] }),
        ['INVALID_HOST spec.rules[0].to[0].operation.notHosts[1]'],
      ],
    ],
  ),
  ['a path in percent-encoding', operation({ paths: ['/caf%C3%A9', '/a%20b*'] }), []],
  ...['/caf\u00e9', '/a b', '*\u65e5', '/a\n', '/\ud800'].map(
    (path): RuleRow => [
      `the path ${JSON.stringify(path)}, which no request has`,
      operation({ notPaths: [path] }),
      ['INVALID_PATH spec.rules[0].to[0].operation.notPaths[0]'],
    ],
  ),
  ['a path template', operation({ paths: ['/a/{*}/b/{**}'] }), []],
  [
    'a template with a bare star',
    operation({ paths: ['/a/{*}/*'] }),
    ['INVALID_PATH spec.rules[0].to[0].operation.paths[0]'],
  ],
  [
    'an operator after the rest',
    operation({ paths: ['/{**}/{*}'] }),
    ['INVALID_PATH spec.rules[0].to[0].operation.paths[0]'],
  ],
  [
    'a template inside a segment',
    operation({ paths: ['/a{*}'] }),
    ['INVALID_PATH spec.rules[0].to[0].operation.paths[0]'],
  ],
  [
    'an unknown attribute',
    rule({ when: [{ key: 'source.namespaces', values: ['a'] }] }),
    ['INVALID_VALUE spec.rules[0].when[0].key'],
  ],
  [
    'a condition without values',
    rule({ when: [{ key: 'source.namespace' }] }),
    ['REQUIRED_FIELD spec.rules[0].when[0]'],
  ],
  [
    'a condition on a bad port',
    rule({ when: [{ key: 'destination.port', values: ['0'] }] }),
    ['INVALID_VALUE spec.rules[0].when[0].values[0]'],
  ],
  [
    'a condition on a bad address',
    rule({ when: [{ key: 'source.ip', values: ['x'] }] }),
    ['INVALID_ADDRESS spec.rules[0].when[0].values[0]'],
  ],
  [
    'a provider for ALLOW',
    { ...rule({}), provider: { name: 'x' } },
    ['CONFLICTING_FIELDS spec.provider'],
  ],
  ['CUSTOM without provider', { ...rule({}), action: 'CUSTOM' }, ['REQUIRED_FIELD spec.provider']],
  [
    'CUSTOM on principals',
    { ...source({ principals: ['*'] }), action: 'CUSTOM', provider: { name: 'x' } },
    ['CONFLICTING_FIELDS spec.rules[0].from[0].source.principals'],
  ],
  [
    'a selector and targetRefs',
    {
      ...rule({}),
      selector: { matchLabels: { a: 'b' } },
      targetRefs: [{ kind: 'Service', name: 'a' }],
    },
    ['CONFLICTING_FIELDS spec.targetRefs'],
  ],
  [
    'a target of another kind',
    { ...rule({}), targetRefs: [{ group: 'apps', kind: 'Deployment', name: 'a' }] },
    ['INVALID_VALUE spec.targetRefs[0].kind'],
  ],
  [
    'a target of another group',
    { ...rule({}), targetRefs: [{ kind: 'Gateway', name: 'a' }] },
    ['INVALID_VALUE spec.targetRefs[0].group'],
  ],
  ['an unknown action', { ...rule({}), action: 'ALOW' }, ['INVALID_VALUE spec.action']],
  [
    '513 rules',
    { rules: Array.from({ length: 513 }, () => ({ to: [{ operation: { methods: ['GET'] } }] })) },
    ['OUT_OF_RANGE spec.rules'],
  ],
];

const TABLES = { AuthorizationPolicy: AUTHORIZATION_POLICY };
for (const [kind, table] of Object.entries(TABLES)) {
  describe(`rules of ${kind}`, () => {
    for (const [title, spec, says] of table) {
      it(`${says.length > 0 ? 'refuses' : 'accepts'} ${title}`, () => {
        assert.deepEqual(errorsOf(kind, spec), says);
      });
    }
  });
}
