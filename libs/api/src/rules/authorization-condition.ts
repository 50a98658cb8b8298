/** Rules of `when` in an AuthorizationPolicy: which attributes there are and what they compare with. */
import { isHeaderName } from '../schema/values.ts';
import { parseCidr } from '../value/ip.ts';
import { isJudgedHeader } from '../value/request-headers.ts';
import { nearestName } from '../value/suggest.ts';
import { isOpening, neverMatchingRules } from './never-matching.ts';
import type { View } from './view.ts';

const WHEN_KEYS: readonly string[] = [
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
  'source.ip',
  'remote.ip',
  'source.namespace',
  'source.principal',
  'source.serviceAccount',
  'source.trustDomain',
  'destination.ip',
  'destination.port',
  'connection.sni',
];
const CIDR_KEYS = ['source.ip', 'remote.ip', 'destination.ip'];

/** Rules of one condition. */
export function whenRules(when: View, action: string): void {
  const key = when.at('key');
  const name = key.text;
  if (name === undefined) return;
  const header = /^request\.headers\[(.+)\]$/.exec(name);
  const isKnown =
    WHEN_KEYS.includes(name) ||
    (header !== null && isHeaderName(header[1] ?? '')) ||
    /^request\.auth\.claims(?:\[[^\]]+\])+$/.test(name) ||
    /^experimental\.envoy\.filters\.[^[]+\[.+\]$/.test(name);
  if (!isKnown) {
    const near = nearestName(name, WHEN_KEYS);
    key.complain({
      code: 'INVALID_VALUE',
      message: 'is not an attribute',
      allowed: `${WHEN_KEYS.join(', ')}, request.headers[name], request.auth.claims[name]`,
      ...(near === undefined ? {} : { fix: `did you mean ${near}?` }),
    });
  }
  if (when.said(['values', 'notValues']).length === 0) {
    when.complain({
      code: 'REQUIRED_FIELD',
      message: 'has nothing to compare with',
      allowed: 'values or notValues',
    });
  }
  if (
    action === 'CUSTOM' &&
    /^(?:source\.(?:namespace|principal|serviceAccount|trustDomain)|request\.auth\.)/.test(name)
  ) {
    key.complain({
      code: 'CONFLICTING_FIELDS',
      message: 'cannot be used with CUSTOM, which is asked before the caller is known',
    });
  }
  headerRules(when, header?.[1]?.toLowerCase(), action);
  if (name === 'source.principal') neverMatchingRules(listsOf(when), 'principals', action);
  for (const value of [...when.at('values').items, ...when.at('notValues').items])
    conditionValueRules(name, value);
}

/** A header that nobody judges is as one that was never sent: an error where that lets requests through, else a warning. */
function headerRules(when: View, header: string | undefined, action: string): void {
  if (header === undefined) return;
  neverMatchingRules(listsOf(when), header === 'host' ? 'hosts' : 'headerValues', action);
  if (isJudgedHeader(header)) return;
  const lets =
    (when.at('values').isSaid && isOpening(action, { isNot: false })) ||
    (when.at('notValues').isSaid && isOpening(action, { isNot: true }));
  when.at('key').complain({
    code: 'INVALID_HEADER_NAME',
    severity: lets ? 'error' : 'warning',
    message: 'names a header that is taken out before policies look, whatever is sent',
    fix: 'remove the condition, or use a header that reaches the server',
  });
}

function listsOf(when: View): { readonly some: View; readonly none: View } {
  return { some: when.at('values'), none: when.at('notValues') };
}

function conditionValueRules(key: string, value: View): void {
  const text = value.text;
  if (text === undefined) return;
  if (CIDR_KEYS.includes(key) && parseCidr(text) === undefined) {
    value.complain({
      code: 'INVALID_ADDRESS',
      message: 'is not an IP address or CIDR',
      allowed: 'such as 10.0.0.0/8',
    });
  }
  if (key === 'destination.port' && !(/^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535)) {
    value.complain({ code: 'INVALID_VALUE', message: 'is not a port', allowed: '"1" to "65535"' });
  }
  if (key === 'source.serviceAccount') serviceAccountRules(value);
}

/** Rules of one value of serviceAccounts. */
export function serviceAccountRules(account: View): void {
  const value = account.text;
  if (value === undefined) return;
  if (value.includes('*'))
    account.complain({
      code: 'INVALID_VALUE',
      message: 'has a wildcard, which serviceAccounts do not take',
      allowed: 'name or namespace/name',
    });
  else if (!/^[^/]+(?:\/[^/]+)?$/.test(value))
    account.complain({
      code: 'INVALID_VALUE',
      message: 'is not a service account',
      allowed: 'name or namespace/name',
    });
}
