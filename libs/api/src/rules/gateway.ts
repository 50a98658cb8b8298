/** Rules of Gateway, of the routes and of ReferenceGrant. */
import { isHeaderName } from '../schema/values.ts';
import { WAYPOINT_CLASSES } from '../unsupported.ts';
import { parseDuration } from '../value/duration.ts';
import { grpcMethodPath } from '../value/grpc-method.ts';
import {
  INBOUND_BINDING,
  INBOUND_BINDINGS,
  parseInboundBinding,
} from '../value/inbound-binding.ts';
import { compileRegex } from '../value/regex.ts';
import { matchedPathRules } from './matched-path.ts';
import { filterRules, filterShapeRules } from './route-filters.ts';
import { complainDuplicates, type View } from './view.ts';

/** Annotations that name what is made for a waypoint: a Service (RFC 1035) and an account (RFC 1123). */
const NAMES: readonly (readonly [string, RegExp, string])[] = [
  [
    'gateway.istio.io/name-override',
    /^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    'up to 63 lower case letters, digits and "-", a letter first',
  ],
  [
    'gateway.istio.io/service-account',
    /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/,
    'up to 253 lower case letters, digits, "-" and "."',
  ],
];

/** Rules of a Gateway; those of a waypoint only for its classes, but the inbound binding makes one of any. */
export function gatewayRules(root: View): void {
  bindingValueRule(root);
  const spec = root.at('spec');
  if (!spec.exists) return;
  const listeners = spec.at('listeners');
  if (!listeners.isSaid)
    listeners.complain({ code: 'REQUIRED_FIELD', message: 'is required', allowed: 'at least one' });
  complainDuplicates(
    listeners.items.map((listener) => listener.at('name')),
    'listener',
  );
  for (const listener of listeners.items) {
    const namespaces = listener.at('allowedRoutes', 'namespaces');
    const isBySelector = namespaces.at('from').text === 'Selector';
    if (isBySelector && !namespaces.at('selector').exists) {
      namespaces
        .at('selector')
        .complain({ code: 'REQUIRED_FIELD', message: 'is required for from: Selector' });
    }
  }
  if (!WAYPOINT_CLASSES.includes(spec.at('gatewayClassName').text ?? '')) return;
  bindingRules(root);
  const parameters = spec.at('infrastructure', 'parametersRef');
  const kind = parameters.at('kind').text ?? 'ConfigMap';
  const group = parameters.at('group').text ?? '';
  if (parameters.exists && (kind !== 'ConfigMap' || group !== '')) {
    parameters.complain({
      code: 'INVALID_VALUE',
      message: 'is no kind that has parameters of a waypoint',
      allowed: 'group: "", kind: ConfigMap',
    });
  }
  for (const [annotation, pattern, allowed] of NAMES) {
    const written = root.at('metadata', 'annotations', annotation);
    if (written.text !== undefined && !pattern.test(written.text)) {
      written.complain({ code: 'INVALID_NAME', message: 'is no name of an object', allowed });
    }
  }
  const usedFor = root.at('metadata', 'labels', 'istio.io/waypoint-for');
  if (
    usedFor.text !== undefined &&
    !['service', 'workload', 'all', 'none'].includes(usedFor.text)
  ) {
    usedFor.complain({
      code: 'INVALID_VALUE',
      message: 'is not a kind of traffic',
      allowed: 'service, workload, all, none',
    });
  }
  if (root.at('metadata', 'name').text === 'none') {
    root.at('metadata', 'name').complain({
      code: 'INVALID_NAME',
      message: '"none" is reserved: as a label it means no waypoint',
    });
  }
}

/** Rules of a GatewayClass. */
export function gatewayClassRules(root: View): void {
  bindingValueRule(root);
}

/** A value that is taken for none would leave the port open on which the proxy believes whoever reaches it. */
function bindingValueRule(root: View): void {
  const written = root.at('metadata', 'annotations', INBOUND_BINDING);
  if (!written.exists || parseInboundBinding(written.text ?? '') !== undefined) return;
  written.complain({
    code: 'INVALID_VALUE',
    message: 'does not say how the proxy takes what comes through tunnels',
    allowed: INBOUND_BINDINGS,
    fix: 'write PROXY/15088, with the port on which the proxy reads PROXY protocol',
  });
}

/** The listener of `spec.listeners` that stands for a proxy behind its agent, where no port is said. */
const PROXY_PROTOCOL = 'istio.io/PROXY';

/** Where a waypoint takes its tunnels: itself, or its agent for it, which only somebody else's waypoint wants. */
function bindingRules(root: View): void {
  const spec = root.at('spec');
  const listeners = spec.at('listeners');
  const written = root.at('metadata', 'annotations', INBOUND_BINDING);
  const binding = written.text === undefined ? undefined : parseInboundBinding(written.text);
  const isBound = (listener: View) =>
    listener.at('protocol').text === PROXY_PROTOCOL ||
    (binding !== undefined && listener.at('port').number === binding.port);
  const isHbone = (listener: View) =>
    listener.at('port').number === 15_008 && listener.at('protocol').text === 'HBONE';
  const isRunElsewhere = spec.at('addresses').isSaid;
  const isListening = listeners.items.some(
    (one) => isHbone(one) || (isRunElsewhere && isBound(one)),
  );
  if (listeners.isSaid && !isListening) {
    listeners.complain({
      code: 'WAYPOINT_LISTENER',
      message: 'a waypoint listens for HBONE on port 15008 and nothing else',
      fix: 'write listeners: [{name: mesh, port: 15008, protocol: HBONE}]',
    });
  }
  if (binding !== undefined && binding.protocol !== 'NONE' && !isRunElsewhere) {
    written.complain({
      code: 'WAYPOINT_BINDING',
      message:
        'is for a proxy that somebody else runs: the waypoint that is made here ends its tunnels itself',
      fix: 'write spec.addresses with the address of the proxy, or remove the annotation',
    });
  }
}

/** Rules of an HTTPRoute. */
export function httpRouteRules(root: View): void {
  const spec = root.at('spec');
  if (!spec.exists) return;
  parentRules(spec);
  for (const rule of spec.at('rules').items) {
    filterRules(rule);
    for (const backend of rule.at('backendRefs').items) {
      backendRules(backend);
      backend.at('filters').items.forEach(filterShapeRules);
    }
    for (const match of rule.at('matches').items) matchRules(match);
    timeoutRules(rule.at('timeouts'));
  }
}

/** Rules of a GRPCRoute. */
export function grpcRouteRules(root: View): void {
  const spec = root.at('spec');
  if (!spec.exists) return;
  parentRules(spec);
  for (const rule of spec.at('rules').items) {
    rule.at('filters').items.forEach(filterShapeRules);
    for (const backend of rule.at('backendRefs').items) {
      backendRules(backend);
      backend.at('filters').items.forEach(filterShapeRules);
    }
    for (const match of rule.at('matches').items) {
      methodRules(match.at('method'));
      namedMatchRules(match, 'headers');
    }
  }
}

const GRPC_SERVICE = /^\.?[a-z_]\w*(?:\.[a-z_]\w*)*$/i;
const GRPC_METHOD = /^[a-z_]\w*$/i;

function methodRules(match: View): void {
  if (!match.exists) return;
  const [service, method] = [match.at('service'), match.at('method')];
  if ((service.text ?? '') === '' && (method.text ?? '') === '') {
    match.complain({
      code: 'REQUIRED_FIELD',
      message: 'names neither a service nor a method',
      fix: 'write service, method or both, or leave it out to match every method',
    });
    return;
  }
  if (match.at('type').text === 'RegularExpression') {
    const areValid = [service, method].map(regexRule).every(Boolean);
    const parts = { service: service.text ?? '', method: method.text ?? '' };
    const path = grpcMethodPath({ type: 'RegularExpression', ...parts });
    const whole = compileRegex(path.value);
    if (areValid && whole.kind === 'error')
      match.complain({ code: 'INVALID_REGEX', message: whole.message });
    return;
  }
  for (const [part, pattern, example] of [
    [service, GRPC_SERVICE, 'package.Service'],
    [method, GRPC_METHOD, 'Method'],
  ] as const) {
    if (part.text === undefined || part.text === '' || pattern.test(part.text)) continue;
    part.complain({
      code: 'INVALID_VALUE',
      message: `is no name of a gRPC ${part === service ? 'service' : 'method'}`,
      allowed: `letters, digits and _, such as ${example}`,
    });
  }
}

/** Rules of a ReferenceGrant. */
export function referenceGrantRules(root: View): void {
  const spec = root.at('spec');
  if (!spec.exists) return;
  for (const side of ['from', 'to']) {
    if (spec.at(side).items.length === 0) {
      spec
        .at(side)
        .complain({ code: 'REQUIRED_FIELD', message: 'is required', allowed: 'at least one' });
    }
  }
}

/** Rules of a TCPRoute. */
export function tcpRouteRules(root: View): void {
  const spec = root.at('spec');
  if (!spec.exists) return;
  parentRules(spec);
  if (spec.at('rules').items.length !== 1) {
    spec.at('rules').complain({
      code: 'OUT_OF_RANGE',
      message: 'a TCPRoute has one rule',
      allowed: 'exactly one',
    });
  }
  for (const rule of spec.at('rules').items) {
    if (!rule.at('backendRefs').isSaid)
      rule.at('backendRefs').complain({ code: 'REQUIRED_FIELD', message: 'is required' });
    for (const backend of rule.at('backendRefs').items) backendRules(backend);
  }
}

const PARENT_GROUPS: Readonly<Record<string, readonly string[]>> = {
  Service: ['', 'core'],
  ServiceEntry: ['networking.istio.io'],
  Gateway: ['gateway.networking.k8s.io'],
};

function parentRules(spec: View): void {
  const parents = spec.at('parentRefs');
  if (!parents.isSaid) {
    parents.complain({
      code: 'NO_EFFECT',
      severity: 'warning',
      message: 'is empty: the route attaches to nothing',
    });
  }
  complainDuplicates(parents.items, 'parent', (parent) => JSON.stringify(parent.value));
  for (const parent of parents.items) {
    const kind = parent.at('kind').text ?? 'Gateway';
    const group = parent.at('group').text ?? 'gateway.networking.k8s.io';
    const groups = Object.hasOwn(PARENT_GROUPS, kind) ? PARENT_GROUPS[kind] : undefined;
    if (groups === undefined) {
      parent.at('kind').complain({
        code: 'INVALID_VALUE',
        message: 'is no parent of a route',
        allowed: Object.keys(PARENT_GROUPS).join(', '),
      });
    } else if (!groups.includes(group)) {
      parent.at('group').complain({
        code: 'INVALID_VALUE',
        message: `is not the group of ${kind} (absent means gateway.networking.k8s.io)`,
        allowed: JSON.stringify(groups[0]),
        fix: `write group: ${JSON.stringify(groups[0])}`,
      });
    }
  }
}

const BACKEND_GROUPS: Readonly<Record<string, readonly string[]>> = {
  Service: ['', 'core'],
  Hostname: ['networking.istio.io'],
};

function backendRules(backend: View): void {
  const kind = backend.at('kind').text ?? 'Service';
  const group = backend.at('group').text ?? '';
  const groups = Object.hasOwn(BACKEND_GROUPS, kind) ? BACKEND_GROUPS[kind] : undefined;
  if (groups === undefined || !groups.includes(group)) {
    // Gateway API: the route stays, this backend's share is answered with 500.
    backend.complain({
      code: 'INVALID_BACKEND',
      severity: 'warning',
      message: 'is no backend that can be reached: its share is answered with 500',
      allowed: 'Service, or Hostname of networking.istio.io',
      ...(kind === 'ServiceEntry' ? { fix: 'name a host of it, with kind: Hostname' } : {}),
    });
  }
  if (!backend.at('port').exists) {
    backend.complain({
      code: 'INVALID_BACKEND',
      severity: 'warning',
      message: 'has no port: its share is answered with 500',
      fix: 'write port',
    });
  }
}

function matchRules(match: View): void {
  const path = match.at('path', 'value');
  const type = match.at('path', 'type').text ?? 'PathPrefix';
  if (path.text !== undefined && type === 'RegularExpression') regexRule(path);
  else if (path.text !== undefined && !path.text.startsWith('/')) {
    path.complain({
      code: 'INVALID_PATH',
      message: 'does not begin with /',
      fix: `write /${path.text}`,
    });
  } else matchedPathRules(path, 'whole');
  for (const list of ['headers', 'queryParams'] as const) namedMatchRules(match, list);
}

function namedMatchRules(match: View, list: 'headers' | 'queryParams'): void {
  const items = match.at(list).items;
  if (items.length > 16)
    match
      .at(list)
      .complain({ code: 'OUT_OF_RANGE', message: 'has too many entries', allowed: 'at most 16' });
  for (const item of items) {
    const name = item.at('name');
    if (list === 'headers' && name.text !== undefined && !isHeaderName(name.text)) {
      name.complain({ code: 'INVALID_HEADER_NAME', message: 'is not the name of a header' });
    }
    if (item.at('type').text === 'RegularExpression') regexRule(item.at('value'));
  }
}

/** False for what is no regular expression. */
function regexRule(view: View): boolean {
  if (view.text === undefined) return true;
  const result = compileRegex(view.text);
  if (result.kind !== 'error') return true;
  view.complain({ code: 'INVALID_REGEX', message: result.message, allowed: 'RE2 syntax' });
  return false;
}

function timeoutRules(timeouts: View): void {
  const [request, backend] = [timeouts.at('request'), timeouts.at('backendRequest')];
  const total = request.text === undefined ? undefined : parseDuration(request.text);
  const each = backend.text === undefined ? undefined : parseDuration(backend.text);
  if (total !== undefined && each !== undefined && total > 0 && each > total) {
    backend.complain({
      code: 'OUT_OF_RANGE',
      message: 'is longer than request',
      allowed: `at most ${request.text}`,
    });
  }
}
