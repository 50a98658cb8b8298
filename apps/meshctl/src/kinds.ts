/** Names of kinds as people type them: singular, plural, short, in any case. */
import { supportedKinds } from '@ambit/api';

const SHORT_NAMES: Readonly<Record<string, string>> = {
  ap: 'AuthorizationPolicy',
  deploy: 'Deployment',
  dr: 'DestinationRule',
  gtw: 'Gateway',
  gw: 'Gateway',
  no: 'Node',
  ns: 'Namespace',
  pa: 'PeerAuthentication',
  po: 'Pod',
  ra: 'RequestAuthentication',
  sa: 'ServiceAccount',
  se: 'ServiceEntry',
  vs: 'VirtualService',
  we: 'WorkloadEntry',
};

export interface KindName {
  readonly kind: string;
  readonly isNamespaced: boolean;
}

/** `undefined`: nobody knows such a kind. */
export function findKind(typed: string): KindName | undefined {
  const wanted = typed.toLowerCase();
  const short = Object.hasOwn(SHORT_NAMES, wanted) ? SHORT_NAMES[wanted]?.toLowerCase() : undefined;
  return kindNames().find(({ kind }) => {
    const name = kind.toLowerCase();
    return name === wanted || name === short || pluralOf(name) === wanted;
  });
}

/** Every kind once, in order of name. */
export function kindNames(): readonly KindName[] {
  const byName = new Map<string, KindName>();
  for (const { kind, isNamespaced } of supportedKinds()) byName.set(kind, { kind, isNamespaced });
  return [...byName.values()].sort((a, b) => (a.kind < b.kind ? -1 : 1));
}

function pluralOf(name: string): string {
  if (/[^aeiou]y$/.test(name)) return `${name.slice(0, -1)}ies`;
  return name.endsWith('s') ? `${name}es` : `${name}s`;
}
