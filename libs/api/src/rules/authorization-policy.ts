/** Rules of AuthorizationPolicy. */

import { serviceAccountRules, whenRules } from './authorization-condition.ts';
import { operationRules } from './authorization-operation.ts';
import { attachmentRules } from './export-to.ts';
import { neverMatchingRules } from './never-matching.ts';
import type { View } from './view.ts';

const CUSTOM_FORBIDDEN = [
  'namespaces',
  'serviceAccounts',
  'trustDomains',
  'principals',
  'requestPrincipals',
];

/** Everything of §2.16 about an AuthorizationPolicy. */
export function authorizationPolicyRules(root: View): void {
  const spec = root.at('spec');
  attachmentRules(spec);
  const rules = spec.at('rules');
  const action = spec.at('action').text ?? 'ALLOW';
  if (!rules.isSaid && (action === 'DENY' || action === 'CUSTOM')) {
    rules.complain({
      code: 'REQUIRED_FIELD',
      message: `${action} without rules never matches`,
      fix: 'write rules: [{}] for everything',
    });
  }
  if (!rules.isSaid && action === 'ALLOW') {
    spec.complain({
      code: 'DENIES_ALL',
      severity: 'info',
      message: 'ALLOW without rules: everything in its scope is denied',
    });
  }
  if (rules.items.length > 512)
    rules.complain({ code: 'OUT_OF_RANGE', message: 'has too many rules', allowed: 'at most 512' });
  for (const rule of rules.items) {
    fromRules(rule.at('from'), action);
    toRules(rule.at('to'), action);
    for (const when of rule.at('when').items) whenRules(when, action);
  }
  orRules(rules.items, action);
  providerRules(spec, action);
  dryRunRules(root, action);
}

function fromRules(from: View, action: string): void {
  emptyListRule(from, 'any source');
  for (const entry of from.items) {
    const source = entry.at('source');
    if (source.fields.length === 0) {
      source.complain({
        code: 'REQUIRED_FIELD',
        message: 'is empty; it would match every caller',
        fix: 'remove from, or say who',
      });
    }
    for (const [, list] of source.fields) emptyListRule(list, 'nothing');
    for (const field of ['serviceAccounts', 'notServiceAccounts']) {
      const accounts = source.at(field);
      if (accounts.items.length > 16)
        accounts.complain({
          code: 'OUT_OF_RANGE',
          message: 'has too many entries',
          allowed: 'at most 16',
        });
      for (const account of accounts.items) serviceAccountRules(account);
    }
    if (source.said(['serviceAccounts', 'notServiceAccounts']).length > 0) {
      for (const field of source.said([
        'principals',
        'notPrincipals',
        'namespaces',
        'notNamespaces',
      ])) {
        source.at(field).complain({
          code: 'CONFLICTING_FIELDS',
          message: 'cannot stand beside serviceAccounts',
          fix: 'remove one of them',
        });
      }
    }
    neverMatchingRules(
      { some: source.at('principals'), none: source.at('notPrincipals') },
      'principals',
      action,
    );
    if (action !== 'CUSTOM') continue;
    for (const field of CUSTOM_FORBIDDEN.flatMap((name) => [
      name,
      `not${name[0]?.toUpperCase()}${name.slice(1)}`,
    ])) {
      if (source.at(field).isSaid) {
        source.at(field).complain({
          code: 'CONFLICTING_FIELDS',
          message: 'cannot be used with CUSTOM, which is asked before the caller is known',
        });
      }
    }
  }
}

function emptyListRule(list: View, meaning: string): void {
  if (Array.isArray(list.value) && list.value.length === 0) {
    list.complain({
      code: 'EMPTY_LIST',
      severity: 'error',
      message: `is an empty list, which could be read as ${meaning}`,
      fix: 'remove it or fill it',
    });
  }
}

function toRules(to: View, action: string): void {
  emptyListRule(to, 'any operation');
  for (const entry of to.items) {
    const operation = entry.at('operation');
    if (operation.fields.length === 0) {
      operation.complain({
        code: 'REQUIRED_FIELD',
        message: 'is empty; it would match every request',
        fix: 'remove to, or say what',
      });
    }
    for (const [, list] of operation.fields) emptyListRule(list, 'nothing');
    operationRules(operation, action);
  }
}

/** Three list items where one was meant: a rule with only `when` or only `from` opens what another closes. */
function orRules(rules: readonly View[], action: string): void {
  if (action !== 'ALLOW' || rules.length < 2) return;
  const partsOf = (rule: View) => rule.said(['from', 'to', 'when']);
  const isSplit = rules.every((rule) => partsOf(rule).length === 1);
  const kinds = new Set(rules.flatMap((rule) => partsOf(rule)));
  rules.forEach((rule, index) => {
    if (rule.fields.length === 0) {
      rule.complain({
        code: 'RULES_ARE_ORED',
        severity: 'warning',
        message: 'is empty and allows everything; the other rules do not matter',
      });
    } else if (isSplit && kinds.size > 1) {
      rule.complain({
        code: 'RULES_ARE_ORED',
        severity: 'warning',
        message: `is a rule of its own: rules are alternatives, so rule ${index + 1} alone allows whatever has this ${partsOf(rule)[0]}`,
        fix: 'put from, to and when into one list item to demand all of them',
      });
    }
  });
}

function providerRules(spec: View, action: string): void {
  const provider = spec.at('provider');
  if (provider.exists && action !== 'CUSTOM') {
    provider.complain({
      code: 'CONFLICTING_FIELDS',
      message: 'belongs to action CUSTOM only',
      fix: 'remove it',
    });
  }
  if (!provider.exists && action === 'CUSTOM') {
    provider.complain({ code: 'REQUIRED_FIELD', message: 'is required for action CUSTOM' });
  }
}

function dryRunRules(root: View, action: string): void {
  const dryRun = root.at('metadata', 'annotations', 'istio.io/dry-run');
  if (!dryRun.exists) return;
  if (dryRun.text !== 'true' && dryRun.text !== 'false') {
    dryRun.complain({
      code: 'INVALID_VALUE',
      message: 'is neither true nor false',
      allowed: '"true", "false"',
    });
  } else if (dryRun.text === 'true' && action !== 'ALLOW' && action !== 'DENY') {
    dryRun.complain({
      code: 'CONFLICTING_FIELDS',
      message: `cannot be used with ${action}`,
      allowed: 'ALLOW or DENY',
    });
  }
}
