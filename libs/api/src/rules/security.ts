/** Rules of PeerAuthentication and RequestAuthentication. */
import { attachmentRules } from './export-to.ts';
import type { View } from './view.ts';

/** Everything of §2.16 about a PeerAuthentication. */
export function peerAuthenticationRules(root: View): void {
  const spec = root.at('spec');
  attachmentRules(spec);
  const ports = spec.at('portLevelMtls');
  if (!ports.exists) return;
  for (const [key, mode] of ports.fields) {
    if (!/^[1-9]\d{0,4}$/.test(key) || Number(key) > 65_535) {
      mode.complain({ code: 'OUT_OF_RANGE', message: 'is not a port', allowed: '1 to 65535' });
    }
  }
  const selector = spec.at('selector', 'matchLabels');
  if (selector.fields.length === 0) {
    ports.complain({
      code: 'CONFLICTING_FIELDS',
      message: 'needs a selector: ports belong to workloads',
      fix: 'write selector: {matchLabels: …}',
    });
  }
  if (ports.fields.length === 0)
    ports.complain({ code: 'REQUIRED_FIELD', message: 'is empty', fix: 'remove it' });
}

/** Everything of §2.16 about a RequestAuthentication that can be said without fetching anything. */
export function requestAuthenticationRules(root: View): void {
  const spec = root.at('spec');
  attachmentRules(spec);
  for (const rule of spec.at('jwtRules').items) {
    if (rule.said(['issuer', 'jwksUri']).length === 0) {
      rule.complain({
        code: 'REQUIRED_FIELD',
        message: 'says whose tokens it takes',
        allowed: 'issuer or jwksUri',
      });
    }
    const uri = rule.at('jwksUri');
    if (uri.text !== undefined && !/^https?:\/\/[^/]/.test(uri.text)) {
      uri.complain({ code: 'INVALID_VALUE', message: 'is not an http or https address' });
    }
    if (rule.at('jwks').exists && uri.exists) {
      uri.complain({
        code: 'CONFLICTING_FIELDS',
        message: 'cannot stand beside jwks',
        fix: 'remove one of them',
      });
    }
    const jwks = rule.at('jwks');
    if (jwks.text !== undefined && !isJson(jwks.text))
      jwks.complain({ code: 'INVALID_VALUE', message: 'is not JSON' });
    for (const header of rule.at('fromHeaders').items) {
      if (!header.at('name').text)
        header.at('name').complain({ code: 'REQUIRED_FIELD', message: 'is required' });
    }
  }
}

function isJson(value: string): boolean {
  try {
    JSON.parse(value);
    return true;
  } catch {
    // Any error means the same: it is no JSON.
    return false;
  }
}
