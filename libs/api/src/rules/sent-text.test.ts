import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errorsOf, parseSpec } from '../testing/rule-table.ts';

const VALUES: readonly (readonly [value: string, isGood: boolean])[] = [
  ['', true],
  ['a b', true],
  ['a\tb', true],
  ['caf\u00e9 \u65e5', true],
  ['%REQ(x)%', true],
  ['a\u0085b', true],
  // With a warning.
  [' a', true],
  ['a ', true],
  ['\ta', true],
  [' ', true],
  ['a\r\nx: y', false],
  ['a\nb', false],
  ['a\rb', false],
  ['a\0b', false],
  ['a\x08b', false],
  ['a\x0bb', false],
  ['a\x1bb', false],
  ['a\x7fb', false],
];
const PATHS: readonly (readonly [path: string, isGood: boolean])[] = [
  ['/', true],
  ['/a/b.c-d_e~f', true],
  ['/caf%C3%A9', true],
  ['/a?b=c', true],
  ["/!$&'()*+,;=:@", true],
  ['/caf\u00e9', false],
  ['/\u65e5', false],
  ['/a b', false],
  ['/a#b', false],
  ['/a\r\nb', false],
  ['/\0', false],
  ['/\x7f', false],
  ['/\ud800', false],
  ['/..a/.b/c..', true],
  ['/a..', true],
  ['/..', false],
  ['/.', false],
  ['/a/../b', false],
  ['/a/./b', false],
  ['/a/..?b', false],
];
/** Of a path or of how it begins; a regular expression may bring the rest. */
const RELATIVE: readonly string[] = ['a', 'a/b', '*', '?a', 'http://a/b', '../a'];
const PARENT = { parentRefs: [{ group: '', kind: 'Service', name: 'a' }] };
const inRoute = (filter: object) => ({ ...PARENT, rules: [{ filters: [filter] }] });
const inService = (rule: object) => ({
  hosts: ['a'],
  http: [{ route: [{ destination: { host: 'a' } }], ...rule }],
});
const FILTER = 'spec.rules[0].filters[0]';

describe('text that is sent', () => {
  for (const [value, isGood] of VALUES) {
    it(`${isGood ? 'takes' : 'refuses'} the header ${JSON.stringify(value)}`, () => {
      const says = (path: string) => (isGood ? [] : [`INVALID_VALUE ${path}`]);
      for (const operation of ['set', 'add']) {
        for (const side of ['request', 'response']) {
          const written = inService({ headers: { [side]: { [operation]: { x: value } } } });
          const path = `spec.http[0].headers.${side}.${operation}.x`;
          assert.deepEqual(errorsOf('VirtualService', written), says(path));
          const field = `${side}HeaderModifier`;
          const type = `${side === 'request' ? 'Request' : 'Response'}HeaderModifier`;
          const filter = { type, [field]: { [operation]: [{ name: 'x', value }] } };
          const at = says(`${FILTER}.${field}.${operation}[0].value`);
          for (const kind of ['HTTPRoute', 'GRPCRoute']) {
            assert.deepEqual(errorsOf(kind, inRoute(filter)), at, kind);
          }
        }
      }
    });
  }

  for (const path of RELATIVE) {
    it(`refuses the path ${JSON.stringify(path)}, which no request has`, () => {
      const uri = inService({ rewrite: { uri: path } });
      assert.deepEqual(errorsOf('VirtualService', uri), ['INVALID_PATH spec.http[0].rewrite.uri']);
      const urlRewrite = { path: { type: 'ReplaceFullPath', replaceFullPath: path } };
      assert.deepEqual(errorsOf('HTTPRoute', inRoute({ type: 'URLRewrite', urlRewrite })), [
        `INVALID_PATH ${FILTER}.urlRewrite.path.replaceFullPath`,
      ]);
      const rewrite = { uriRegexRewrite: { match: '/(.*)', rewrite: path } };
      assert.deepEqual(errorsOf('VirtualService', inService({ rewrite })), []);
    });
  }

  for (const [path, isGood] of PATHS) {
    it(`${isGood ? 'takes' : 'refuses'} the path ${JSON.stringify(path)}`, () => {
      const says = (at: string) => (isGood ? [] : [`INVALID_PATH ${at}`]);
      const uri = 'spec.http[0].rewrite.uri';
      assert.deepEqual(
        errorsOf('VirtualService', inService({ rewrite: { uri: path } })),
        says(uri),
      );
      const rewrite = { uriRegexRewrite: { match: '/(.*)', rewrite: `\\\\${path}` } };
      const regex = says('spec.http[0].rewrite.uriRegexRewrite.rewrite');
      assert.deepEqual(errorsOf('VirtualService', inService({ rewrite })), regex);
      const filter = (type: string, field: string) =>
        inRoute({ type: 'URLRewrite', urlRewrite: { path: { type, [field]: path } } });
      for (const [type, field] of [
        ['ReplaceFullPath', 'replaceFullPath'],
        ['ReplacePrefixMatch', 'replacePrefixMatch'],
      ] as const) {
        const found = errorsOf('HTTPRoute', filter(type, field));
        assert.deepEqual(found, says(`${FILTER}.urlRewrite.path.${field}`));
      }
    });
  }

  for (const [host, isGood] of [
    ['a.b', true],
    ['a.b:81', true],
    ['10.0.0.1', true],
    ['[fd00::1]:80', true],
    ['a b', false],
    ['a\r\nx: y', false],
    ['\u00fc.example', false],
    ['a..', false],
    ['a:080', false],
    ['10.0.0.01', false],
    ['%REQ(x)%', false],
  ] as const) {
    it(`${isGood ? 'takes' : 'refuses'} the host ${JSON.stringify(host)}`, () => {
      const says = (at: string) => (isGood ? [] : [`INVALID_HOST ${at}`]);
      const errorsAt = (spec: unknown) =>
        errorsOf('VirtualService', spec).filter((error) => error.startsWith('INVALID_HOST'));
      const redirect = { hosts: ['a'], http: [{ redirect: { authority: host } }] };
      assert.deepEqual(errorsAt(redirect), says('spec.http[0].redirect.authority'));
      const rewrite = inService({ rewrite: { authority: host } });
      assert.deepEqual(errorsAt(rewrite), says('spec.http[0].rewrite.authority'));
      for (const name of ['host', 'Host', ':authority']) {
        const headers = inService({ headers: { request: { set: { [name]: host } } } });
        assert.deepEqual(
          errorsAt(headers),
          says(
            `spec.http[0].headers.request.set${name.startsWith(':') ? '[":authority"]' : `.${name}`}`,
          ),
        );
      }
      const requestHeaderModifier = { set: [{ name: 'Host', value: host }] };
      const filter = { type: 'RequestHeaderModifier', requestHeaderModifier };
      assert.deepEqual(
        errorsOf('HTTPRoute', inRoute(filter)).filter((error) => error.startsWith('INVALID_HOST')),
        says(`${FILTER}.requestHeaderModifier.set[0].value`),
      );
    });
  }

  for (const [path, isGood] of [
    ['/a?b=c#d', true],
    ['/caf\u00e9', true],
    ['/a b', false],
    ['/a\r\nx: y', false],
    ['/\x7f', false],
  ] as const) {
    it(`${isGood ? 'takes' : 'refuses'} the path ${JSON.stringify(path)} of a redirect`, () => {
      const says = (at: string) => (isGood ? [] : [`INVALID_PATH ${at}`]);
      const redirect = (fields: object) => ({
        hosts: ['a'],
        http: [{ match: [{ uri: { prefix: '/' } }], redirect: fields }],
      });
      for (const field of ['uri', 'prefixRewrite']) {
        const errors = errorsOf('VirtualService', redirect({ [field]: path }));
        assert.deepEqual(errors, says(`spec.http[0].redirect.${field}`));
      }
      const modifier = { type: 'ReplaceFullPath', replaceFullPath: path };
      assert.deepEqual(
        errorsOf(
          'HTTPRoute',
          inRoute({ type: 'RequestRedirect', requestRedirect: { path: modifier } }),
        ),
        says(`${FILTER}.requestRedirect.path.replaceFullPath`),
      );
    });
  }

  it('warns of blanks around a value', () => {
    for (const value of [' a', 'a\t']) {
      const spec = inService({ headers: { request: { set: { x: value } } } });
      assert.deepEqual(
        parseSpec('VirtualService', spec).findings.map(({ severity, fix }) => [severity, fix]),
        [['warning', 'write "a"']],
      );
    }
  });

  it('says how a path is written', () => {
    const { findings } = parseSpec(
      'VirtualService',
      inService({ rewrite: { uri: '/caf\u00e9 #%20' } }),
    );
    assert.equal(findings[0]?.fix, 'write /caf%C3%A9%20%23%20');
  });
});
