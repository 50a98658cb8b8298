/** Rules of the filters of an HTTPRoute: one field a type, and which filters go together. */
import {
  authorityToSendRules,
  headerValueRules,
  locationRules,
  pathToSendRules,
} from './sent-text.ts';
import type { View } from './view.ts';

const FILTER_FIELDS: ReadonlyMap<string, string> = new Map([
  ['RequestHeaderModifier', 'requestHeaderModifier'],
  ['ResponseHeaderModifier', 'responseHeaderModifier'],
  ['RequestRedirect', 'requestRedirect'],
  ['URLRewrite', 'urlRewrite'],
  ['RequestMirror', 'requestMirror'],
]);

/** Rules of one filter, at a rule or at a backend. */
export function filterShapeRules(filter: View): void {
  const type = filter.at('type').text ?? '';
  const wanted = FILTER_FIELDS.get(type);
  if (wanted === undefined) return;
  for (const field of FILTER_FIELDS.values()) {
    const view = filter.at(field);
    if (field === wanted && !view.exists) {
      view.complain({ code: 'REQUIRED_FIELD', message: `is required for type ${type}` });
    } else if (field !== wanted && view.exists) {
      view.complain({
        code: 'CONFLICTING_FIELDS',
        message: `does not belong to type ${type}`,
        fix: 'remove it',
      });
    }
  }
  for (const field of ['requestRedirect', 'urlRewrite'])
    pathModifierRules(filter.at(field, 'path'));
  for (const field of ['replaceFullPath', 'replacePrefixMatch'])
    pathToSendRules(filter.at('urlRewrite', 'path', field));
  for (const field of ['replaceFullPath', 'replacePrefixMatch'])
    locationRules(filter.at('requestRedirect', 'path', field));
  for (const header of filter.at('requestHeaderModifier', 'set').items) {
    if (header.at('name').text?.toLowerCase() === 'host') authorityToSendRules(header.at('value'));
  }
  for (const field of ['requestHeaderModifier', 'responseHeaderModifier']) {
    for (const operation of ['set', 'add']) {
      for (const header of filter.at(field, operation).items) headerValueRules(header.at('value'));
    }
  }
  mirrorRules(filter.at('requestMirror'));
}

function pathModifierRules(path: View): void {
  const type = path.at('type').text;
  if (type !== 'ReplaceFullPath' && type !== 'ReplacePrefixMatch') return;
  const wanted = type === 'ReplaceFullPath' ? 'replaceFullPath' : 'replacePrefixMatch';
  const said = path.said(['replaceFullPath', 'replacePrefixMatch']);
  if (said.length !== 1 || said[0] !== wanted) {
    path.complain({
      code: 'CONFLICTING_FIELDS',
      message: `type ${type} needs ${wanted} and nothing else`,
    });
  }
}

function mirrorRules(mirror: View): void {
  if (mirror.at('percent').exists && mirror.at('fraction').exists) {
    mirror.at('fraction').complain({
      code: 'CONFLICTING_FIELDS',
      message: 'cannot stand beside percent',
      fix: 'remove one of them',
    });
  }
  const numerator = mirror.at('fraction', 'numerator').number ?? 0;
  if (numerator > (mirror.at('fraction', 'denominator').number ?? 100)) {
    mirror
      .at('fraction')
      .complain({ code: 'OUT_OF_RANGE', message: 'mirrors more than 100 percent' });
  }
}

/** Rules of the filters of one rule together. */
export function filterRules(rule: View): void {
  const filters = rule.at('filters').items;
  filters.forEach(filterShapeRules);
  const typed = (type: string) => filters.filter((filter) => filter.at('type').text === type);
  for (const type of [
    'RequestHeaderModifier',
    'ResponseHeaderModifier',
    'RequestRedirect',
    'URLRewrite',
  ]) {
    for (const second of typed(type).slice(1))
      second.complain({
        code: 'DUPLICATE',
        message: `is a second filter ${type}`,
        fix: 'make them one',
      });
  }
  const [redirect] = typed('RequestRedirect');
  if (redirect !== undefined) {
    if (typed('URLRewrite').length > 0)
      redirect.complain({ code: 'CONFLICTING_FIELDS', message: 'cannot stand beside URLRewrite' });
    if (rule.at('backendRefs').isSaid) {
      rule.at('backendRefs').complain({
        code: 'CONFLICTING_FIELDS',
        message: 'cannot stand beside a redirect',
        fix: 'remove it',
      });
    }
  }
  for (const filter of [...typed('RequestRedirect'), ...typed('URLRewrite')]) {
    for (const field of ['requestRedirect', 'urlRewrite']) {
      const isPrefix = filter.at(field, 'path', 'type').text === 'ReplacePrefixMatch';
      const matches = rule.at('matches').items;
      const isAllPrefix = matches.every(
        (match) => (match.at('path', 'type').text ?? 'PathPrefix') === 'PathPrefix',
      );
      if (isPrefix && !isAllPrefix) {
        filter.at(field, 'path').complain({
          code: 'CONFLICTING_FIELDS',
          message: 'ReplacePrefixMatch needs PathPrefix in every match of the rule',
        });
      }
    }
  }
}
