/** Rules of VirtualService (semantics §2.1, §2.16). */
import { isHeaderName } from '../schema/values.ts';
import { hostMatches } from '../value/host.ts';
import { exportToRules } from './export-to.ts';
import { GRPC_STATUS_NAMES } from './grpc-status.ts';
import { matchShadowRules } from './shadowing.ts';
import { complainDuplicates, type View } from './view.ts';

const ACTIONS = ['route', 'redirect', 'directResponse', 'delegate'];
const PSEUDO_FIELDS = ['uri', 'scheme', 'method', 'authority'];

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
        severity: 'warning',
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

function httpRuleRules(rule: View): void {
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
  redirectRules(rule);
  faultRules(rule.at('fault'));
  rewriteRules(rule.at('rewrite'));
  retryRules(rule.at('retries'), rule.at('timeout'));
  corsRules(rule.at('corsPolicy'));
  directResponseRules(rule.at('directResponse'));
  headerOperationRules(rule.at('headers'), rule.at('rewrite', 'authority').exists);
  for (const route of rule.at('route').items) headerOperationRules(route.at('headers'), false);
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

function badHeaderName(name: string) {
  const isPseudo = name.startsWith(':');
  return {
    code: 'INVALID_HEADER_NAME',
    message: isPseudo ? 'names a pseudo header' : 'is not the name of a header',
    allowed: 'letters, digits and -, as in RFC 9110',
  };
}

function redirectRules(rule: View): void {
  const redirect = rule.at('redirect');
  if (!redirect.exists) return;
  if (
    redirect.said(['uri', 'prefixRewrite', 'authority', 'scheme', 'port', 'derivePort']).length ===
    0
  ) {
    redirect.complain({
      code: 'REQUIRED_FIELD',
      message: 'leads back to the same place',
      allowed: 'at least one of uri, prefixRewrite, authority, scheme, port',
    });
  }
  for (const [first, second] of [
    ['uri', 'prefixRewrite'],
    ['port', 'derivePort'],
  ] as const) {
    if (redirect.at(first).exists && redirect.at(second).exists) {
      redirect.at(second).complain({
        code: 'CONFLICTING_FIELDS',
        message: `cannot stand beside ${first}`,
        fix: 'remove one of them',
      });
    }
  }
  if (!redirect.at('prefixRewrite').exists) return;
  const matches = rule.at('match').items;
  const isAllPrefix =
    matches.length > 0 && matches.every((match) => match.at('uri', 'prefix').exists);
  if (!isAllPrefix) {
    redirect.at('prefixRewrite').complain({
      code: 'CONFLICTING_FIELDS',
      message: 'needs uri.prefix in every match of the rule',
      fix: 'use uri to replace the whole path',
    });
  }
}

function faultRules(fault: View): void {
  if (!fault.exists) return;
  if (fault.said(['delay', 'abort']).length === 0) {
    fault.complain({
      code: 'REQUIRED_FIELD',
      message: 'injects nothing',
      allowed: 'at least one of delay, abort',
    });
  }
  for (const kind of ['delay', 'abort']) {
    const part = fault.at(kind);
    if (part.exists && !part.at('percentage').exists) {
      part.complain({
        code: 'FAULT_NEVER',
        severity: 'warning',
        message: 'has no percentage, which means 0 percent: it never happens',
        fix: 'write percentage: {value: 100}',
      });
    }
  }
  const abort = fault.at('abort');
  if (!abort.exists) return;
  if (abort.said(['httpStatus', 'grpcStatus']).length !== 1) {
    abort.complain({
      code: 'CONFLICTING_FIELDS',
      message: 'needs one status',
      allowed: 'exactly one of httpStatus, grpcStatus',
    });
  }
  const status = abort.at('grpcStatus');
  if (status.text !== undefined && !GRPC_STATUS_NAMES.includes(status.text)) {
    const upper = status.text.toUpperCase();
    status.complain({
      code: 'INVALID_VALUE',
      message: 'is not the name of a gRPC status',
      allowed: GRPC_STATUS_NAMES.join(', '),
      ...(GRPC_STATUS_NAMES.includes(upper) ? { fix: `write ${upper}` } : {}),
    });
  }
}

function rewriteRules(rewrite: View): void {
  if (!rewrite.exists) return;
  if (rewrite.said(['uri', 'uriRegexRewrite', 'authority']).length === 0) {
    rewrite.complain({
      code: 'REQUIRED_FIELD',
      message: 'rewrites nothing',
      allowed: 'uri or uriRegexRewrite, authority',
    });
  }
  if (rewrite.at('uri').exists && rewrite.at('uriRegexRewrite').exists) {
    rewrite.at('uriRegexRewrite').complain({
      code: 'CONFLICTING_FIELDS',
      message: 'cannot stand beside uri',
      fix: 'remove one of them',
    });
  }
}

function retryRules(retries: View, timeout: View): void {
  if (!retries.exists) return;
  if (!retries.at('attempts').exists) {
    retries.complain({
      code: 'NO_RETRIES',
      severity: 'warning',
      message: 'has no attempts, which means 0: retries are off',
      fix: 'write attempts: 2',
    });
  }
  if (
    retries.at('attempts').number === 0 &&
    retries.said(['perTryTimeout', 'retryOn']).length > 0 &&
    !timeout.exists
  ) {
    retries.at('attempts').complain({
      code: 'NO_RETRIES',
      severity: 'info',
      message: 'turns retries off; the rest of the block has no effect',
    });
  }
}

function corsRules(cors: View): void {
  for (const method of cors.at('allowMethods').items) {
    if (method.text !== undefined && !/^(?:[A-Z]+|\*)$/.test(method.text)) {
      method.complain({
        code: 'INVALID_VALUE',
        message: 'is not a method',
        allowed: 'GET, POST and the like in upper case, or *',
      });
    }
  }
  const isAny = cors
    .at('allowOrigins')
    .items.some((origin) => origin.at('exact').text === '*' || origin.at('regex').text === '.*');
  if (isAny && cors.at('allowCredentials').value === true) {
    cors.at('allowCredentials').complain({
      code: 'CORS_ANY_ORIGIN',
      severity: 'warning',
      message: 'lets every site act with the credentials of the user',
      fix: 'list the origins',
    });
  }
}

function directResponseRules(response: View): void {
  const body = response.at('body', 'string').text ?? response.at('body', 'bytes').text ?? '';
  if (body.length > 1_048_576) {
    response
      .at('body')
      .complain({ code: 'OUT_OF_RANGE', message: 'is larger than 1 MB', allowed: 'at most 1 MB' });
  } else if (body.length > 102_400) {
    response.at('body').complain({
      code: 'LARGE_BODY',
      severity: 'warning',
      message: 'is larger than 100 kB and kept by every waypoint',
    });
  }
}

function headerOperationRules(headers: View, isAuthoritySet: boolean): void {
  let authorities = isAuthoritySet ? 1 : 0;
  for (const side of ['request', 'response']) {
    for (const operation of ['set', 'add']) {
      for (const [name, view] of headers.at(side, operation).fields) {
        const isAuthority = side === 'request' && /^(?::authority|host)$/i.test(name);
        if (isAuthority && operation === 'set') {
          authorities += 1;
          if (authorities > 1)
            view.complain({
              code: 'DUPLICATE',
              message: 'sets the authority a second time',
              fix: 'remove it',
            });
        } else if (isAuthority)
          view.complain({
            code: 'INVALID_HEADER_NAME',
            message: 'Host can be set, not added',
            fix: 'move it to set',
          });
        else if (!isHeaderName(name)) view.complain(badHeaderName(name));
        if (view.text !== undefined && /[\r\n\0]/.test(view.text)) {
          view.complain({
            code: 'INVALID_VALUE',
            message: 'has a line break or NUL, which a header cannot carry',
          });
        }
      }
    }
    for (const name of headers.at(side, 'remove').items) {
      if (name.text !== undefined && (!isHeaderName(name.text) || /^host$/i.test(name.text)))
        name.complain(badHeaderName(name.text));
    }
  }
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
