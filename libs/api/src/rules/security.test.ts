import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errorsOf, type RuleRow } from '../testing/rule-table.ts';

const PEER_AUTHENTICATION: readonly RuleRow[] = [
  ['STRICT', { mtls: { mode: 'STRICT' } }, []],
  ['nothing', undefined, []],
  ['an unknown mode', { mtls: { mode: 'STRIKT' } }, ['INVALID_VALUE spec.mtls.mode']],
  [
    'ports without a selector',
    { portLevelMtls: { 80: { mode: 'STRICT' } } },
    ['CONFLICTING_FIELDS spec.portLevelMtls'],
  ],
  [
    'port 0',
    { selector: { matchLabels: { a: 'b' } }, portLevelMtls: { 0: { mode: 'STRICT' } } },
    ['OUT_OF_RANGE spec.portLevelMtls["0"]'],
  ],
  [
    'no ports',
    { selector: { matchLabels: { a: 'b' } }, portLevelMtls: {} },
    ['REQUIRED_FIELD spec.portLevelMtls'],
  ],
  [
    'a selector with a wildcard',
    { selector: { matchLabels: { a: 'b*' } } },
    ['INVALID_VALUE spec.selector.matchLabels.a'],
  ],
  ['the field of a neighbour', { mode: 'STRICT' }, ['UNKNOWN_FIELD spec.mode']],
];

const REQUEST_AUTHENTICATION: readonly RuleRow[] = [
  ['an issuer', { jwtRules: [{ issuer: 'a' }] }, []],
  ['neither issuer nor keys', { jwtRules: [{}] }, ['REQUIRED_FIELD spec.jwtRules[0]']],
  [
    'keys at no address',
    { jwtRules: [{ issuer: 'a', jwksUri: 'ftp://x' }] },
    ['INVALID_VALUE spec.jwtRules[0].jwksUri'],
  ],
  [
    'keys that are no JSON',
    { jwtRules: [{ issuer: 'a', jwks: '{' }] },
    ['INVALID_VALUE spec.jwtRules[0].jwks'],
  ],
];

const TABLES = {
  PeerAuthentication: PEER_AUTHENTICATION,
  RequestAuthentication: REQUEST_AUTHENTICATION,
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
