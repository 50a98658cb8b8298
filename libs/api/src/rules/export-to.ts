/** `exportTo` and selectors, which several kinds share. */
import { complainDuplicates, type View } from './view.ts';

/** `.`, `*`, `~` or names of namespaces; `*` and `~` stand alone. */
export function exportToRules(list: View, options: { readonly allowsNobody?: boolean } = {}): void {
  const items = list.items;
  complainDuplicates(items, 'entry');
  for (const item of items) {
    const value = item.text ?? '';
    if (items.length > 1 && (value === '*' || value === '~')) {
      item.complain({
        code: 'CONFLICTING_FIELDS',
        message: 'stands alone',
        fix: 'remove the other entries or this one',
      });
    }
    const isName = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(value);
    if (
      value === '' ||
      value === '.' ||
      value === '*' ||
      (value === '~' && options.allowsNobody) ||
      isName
    )
      continue;
    item.complain({
      code: 'INVALID_VALUE',
      message: 'is not a place to export to',
      allowed: `".", "*"${options.allowsNobody ? ', "~"' : ''} or the name of a namespace`,
    });
  }
}

/** At most one of `selector` and `targetRefs`. */
export function attachmentRules(spec: View): void {
  const refs = spec.at('targetRefs');
  if (spec.at('selector').exists && refs.isSaid) {
    refs.complain({
      code: 'CONFLICTING_FIELDS',
      message: 'cannot stand beside selector',
      fix: 'remove one of them',
    });
  }
  if (refs.items.length > 16)
    refs.complain({ code: 'OUT_OF_RANGE', message: 'has too many entries', allowed: 'at most 16' });
  for (const [key, value] of spec.at('selector', 'matchLabels').fields) {
    if (key === '') value.complain({ code: 'INVALID_VALUE', message: 'is a label without a name' });
    if (value.text?.includes('*')) {
      value.complain({
        code: 'INVALID_VALUE',
        message: 'has a wildcard; labels are compared whole',
        fix: 'write the value',
      });
    }
  }
  for (const ref of refs.items) targetRefRules(ref);
}

const TARGETS: Readonly<Record<string, readonly string[]>> = {
  Service: ['', 'core'],
  ServiceEntry: ['networking.istio.io'],
  Gateway: ['gateway.networking.k8s.io'],
  GatewayClass: ['gateway.networking.k8s.io'],
};

function targetRefRules(ref: View): void {
  const kind = ref.at('kind');
  if (kind.text === undefined) return;
  const groups = Object.hasOwn(TARGETS, kind.text) ? TARGETS[kind.text] : undefined;
  if (groups === undefined) {
    kind.complain({
      code: 'INVALID_VALUE',
      message: 'is no target of a policy',
      allowed: Object.keys(TARGETS).join(', '),
    });
    return;
  }
  const group = ref.at('group').text ?? '';
  if (!groups.includes(group)) {
    ref.at('group').complain({
      code: 'INVALID_VALUE',
      message: `is not the group of ${kind.text}`,
      allowed: JSON.stringify(groups[0]),
      fix: `write ${JSON.stringify(groups[0])}`,
    });
  }
  if (ref.at('namespace').exists) {
    ref.at('namespace').complain({
      code: 'INVALID_VALUE',
      message: 'a policy attaches to targets of its own namespace only',
      fix: 'remove it and put the policy into that namespace',
    });
  }
}
