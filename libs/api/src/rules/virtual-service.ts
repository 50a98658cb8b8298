/** Rules of VirtualService. */
import { hostMatches } from '../value/host.ts';
import { exportToRules } from './export-to.ts';
import { httpRuleRules, weightRules } from './http-rule.ts';
import { matchShadowRules } from './shadowing.ts';
import { complainDuplicates, type View } from './view.ts';

/** Everything of §2.16 about a VirtualService. */
export function virtualServiceRules(root: View): void {
  const spec = root.at('spec');
  if (!spec.exists) return;
  const hosts = spec.at('hosts');
  const http = spec.at('http');
  if (hosts.isSaid) hostRules(spec);
  else delegateRules(spec);
  if (spec.said(['http', 'tcp', 'tls']).length === 0) {
    spec.complain({
      code: 'REQUIRED_FIELD',
      message: 'has no rules',
      allowed: 'at least one of http, tcp, tls',
    });
  }
  http.items.forEach(httpRuleRules);
  matchShadowRules(http.items);
  for (const rule of [...spec.at('tcp').items, ...spec.at('tls').items]) l4RuleRules(rule);
  for (const match of spec.at('tls').items.flatMap((rule) => rule.at('match').items)) {
    tlsMatchRules(
      match,
      hosts.items.flatMap((host) => host.text ?? []),
    );
  }
  for (const rule of spec.at('tls').items) {
    if (!rule.at('match').isSaid) {
      rule.at('match').complain({
        code: 'REQUIRED_FIELD',
        message: 'is required: a tls rule is chosen by sniHosts',
      });
    }
  }
  exportToRules(spec.at('exportTo'));
}

function hostRules(spec: View): void {
  const hosts = spec.at('hosts').items;
  complainDuplicates(hosts, 'host', (host) => host.text?.toLowerCase());
  const gateways = spec.at('gateways').items.map((gateway) => gateway.text);
  const isInMesh = gateways.length === 0 || gateways.includes('mesh');
  hosts.forEach((host, index) => {
    const name = host.text ?? '';
    if (name === '*' && isInMesh) {
      host.complain({
        code: 'INVALID_HOST',
        message: '"*" would take over every host of the mesh',
        fix: 'name the hosts',
      });
    }
    if (/^[^.*]+\.[^.]+$/.test(name) && isInMesh) {
      host.complain({
        code: 'HOST_NOT_COMPLETED',
        severity: 'info',
        message: 'has a dot and is taken as a full name; only names without a dot are completed',
        fix: `for a Service write ${name}.svc.cluster.local`,
      });
    }
    const covering = hosts
      .slice(0, index)
      .find(({ text }) => text?.startsWith('*') && text !== name && hostMatches(text, name));
    covering?.complain({
      code: 'DUPLICATE',
      message: `covers ${name}, which is listed as well`,
      fix: 'remove one of them',
    });
  });
}

/** Without hosts it can only be the target of a delegate. */
function delegateRules(spec: View): void {
  const others = spec.said(['gateways', 'tls', 'tcp']);
  if (others.length > 0 || !spec.at('http').isSaid) {
    spec
      .at('hosts')
      .complain({ code: 'REQUIRED_FIELD', message: 'is required (only a delegate may omit it)' });
    return;
  }
  for (const rule of spec.at('http').items) {
    if (rule.at('delegate').exists) {
      rule
        .at('delegate')
        .complain({ code: 'CONFLICTING_FIELDS', message: 'a delegate cannot delegate further' });
    }
  }
  spec.at('hosts').complain({
    code: 'REQUIRED_FIELD',
    message: 'is required (only a delegate may omit it, and delegates are not supported yet)',
    fix: 'write hosts: [name-of-the-service]',
  });
}

function l4RuleRules(rule: View): void {
  if (!rule.at('route').isSaid)
    rule.at('route').complain({ code: 'REQUIRED_FIELD', message: 'is required' });
  weightRules(rule.at('route'));
}

function tlsMatchRules(match: View, hosts: readonly string[]): void {
  const names = match.at('sniHosts');
  if (!names.isSaid) names.complain({ code: 'REQUIRED_FIELD', message: 'is required' });
  for (const name of names.items) {
    const sni = name.text;
    if (sni !== undefined && !hosts.some((host) => host === sni || hostMatches(host, sni))) {
      name.complain({
        code: 'INVALID_HOST',
        message: 'is not among the hosts of this object',
        allowed: hosts.join(', '),
      });
    }
  }
}
