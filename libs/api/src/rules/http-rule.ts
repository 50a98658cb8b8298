/** Rules of one http rule of a VirtualService. */
import { isHeaderName } from '../schema/values.ts';
import { badHeaderName, modifierRules } from './http-modifiers.ts';
import { matchedPathRules } from './matched-path.ts';
import { complainDuplicates, type View } from './view.ts';

const ACTIONS = ['route', 'redirect', 'directResponse', 'delegate'];
const PSEUDO_FIELDS = ['uri', 'scheme', 'method', 'authority'];

/** Everything about one entry of `spec.http`. */
export function httpRuleRules(rule: View): void {
  const actions = rule.said(ACTIONS);
  if (actions.length !== 1) {
    rule.complain({
      code: 'CONFLICTING_FIELDS',
      message:
        actions.length === 0
          ? 'says nothing to do'
          : `says more than one thing to do: ${actions.join(', ')}`,
      allowed: `exactly one of ${ACTIONS.join(', ')}`,
    });
  }
  for (const action of ['redirect', 'directResponse']) {
    if (!rule.at(action).exists) continue;
    for (const field of rule.said(['fault', 'rewrite'])) {
      rule.at(field).complain({
        code: 'CONFLICTING_FIELDS',
        message: `cannot stand beside ${action}`,
        fix: 'remove it',
      });
    }
  }
  if (rule.at('mirror').exists && rule.at('mirrors').isSaid) {
    rule.at('mirrors').complain({
      code: 'CONFLICTING_FIELDS',
      message: 'cannot stand beside mirror',
      fix: 'remove one of them',
    });
  }
  if (rule.at('mirrorPercentage').exists && !rule.at('mirror').exists) {
    rule
      .at('mirrorPercentage')
      .complain({ code: 'CONFLICTING_FIELDS', message: 'has no mirror beside it' });
  }
  weightRules(rule.at('route'));
  for (const match of rule.at('match').items) httpMatchRules(match);
  modifierRules(rule);
}

/** Shares are weights of their sum, which must not be 0 where there is a choice. */
export function weightRules(route: View): void {
  const items = route.items;
  if (items.length < 2) return;
  const weights = items.map((item) => item.at('weight').number ?? 0);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (sum === 0) {
    route.complain({
      code: 'INVALID_WEIGHT',
      message: 'has weights that add up to 0',
      fix: 'give each destination its weight',
    });
    return;
  }
  items.forEach((item) => {
    if (!item.at('weight').exists && item.at('destination').exists) {
      item.complain({
        code: 'MISSING_WEIGHT',
        severity: 'warning',
        message: 'has no weight and gets no traffic, because others have one',
        fix: 'write its weight',
      });
    }
  });
  if (sum !== 100) {
    route.complain({
      code: 'WEIGHTS_NOT_100',
      severity: 'info',
      message: `has weights that add up to ${sum}; each gets its share of that`,
    });
  }
}

function httpMatchRules(match: View): void {
  if (match.value !== undefined && match.fields.length === 0) return;
  for (const map of ['headers', 'withoutHeaders']) {
    for (const [name, view] of match.at(map).fields) {
      if (name.startsWith('@request.auth.claims')) continue;
      if (PSEUDO_FIELDS.includes(name.toLowerCase())) {
        view.complain({
          code: 'INVALID_HEADER_NAME',
          message: `is not matched as a header`,
          fix: `write the field ${name.toLowerCase()} of the match`,
        });
      } else if (!isHeaderName(name)) view.complain(badHeaderName(name));
    }
  }
  complainDuplicates(
    match.at('headers').fields.map(([, view]) => view),
    'header',
    (view) => String(view.path.at(-1)).toLowerCase(),
  );
  matchedPathRules(match.at('uri', 'exact'), 'whole');
  matchedPathRules(match.at('uri', 'prefix'), 'prefix');
  const method = match.at('method', 'exact').text;
  if (method !== undefined && method !== method.toUpperCase()) {
    match.at('method', 'exact').complain({
      code: 'METHOD_CASE',
      severity: 'warning',
      message: 'never matches: methods are compared with their case',
      fix: `write ${method.toUpperCase()}`,
    });
  }
}
