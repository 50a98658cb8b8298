/** Which issuer of cert-manager signs: `KIND/NAME` or `KIND/NAME/GROUP`, as AMBIT_CERT_MANAGER_ISSUER says it. */

export interface IssuerReference {
  readonly kind: string;
  readonly name: string;
  readonly group: string;
}

const GROUP_DEFAULT = 'cert-manager.io';
const KIND = /^[A-Z][A-Za-z0-9]{0,62}$/;
const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** Undefined for anything else. */
export function parseIssuerReference(text: string): IssuerReference | undefined {
  const [kind = '', name = '', group = GROUP_DEFAULT, ...more] = text.split('/');
  const isGood = KIND.test(kind) && NAME.test(name) && NAME.test(group) && more.length === 0;
  return isGood ? { kind, name, group } : undefined;
}
