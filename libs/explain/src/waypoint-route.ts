/** The route within a waypoint: shares, clusters and endpoints, each way that chance could take. */
import { parseIp } from '@ambit/api';
import {
  type ClusterRef,
  matchHttp,
  matchTcp,
  type RouteDecision,
  redirectLocation,
  serviceKey,
} from '@ambit/routing';
import { foldBranches } from './branches.ts';
import { requestView } from './caller.ts';
import { ends, endsRefused, goesOn, type HopHead, note, references } from './hop-parts.ts';
import { type Refusal, refusedPreflight, unclearRewrite } from './refused-requests.ts';
import {
  certainAbort,
  clusterSteps,
  faultSteps,
  matchedSteps,
  sendingSteps,
} from './route-steps.ts';
import type { Branch, Hop, Step } from './types.ts';
import { endpointHop, type RoutedTo, type WaypointContext } from './waypoint-endpoint.ts';

type Routed = Extract<RouteDecision, { kind: 'route' }>;

export function routeRequest(head: HopHead, to: RoutedTo, context: WaypointContext): Hop {
  const { view, asked, caller } = context;
  const request = requestView(asked, caller, to.port);
  const decision = matchHttp(view.routes(to.service).http, request);
  if (decision.kind === 'no-route') {
    const { status, flag, tried } = decision;
    const objects = [...new Set(tried.map(({ origin }) => origin.object))];
    const text = `no rule of ${objects.join(', ')} matches the request`;
    return endsRefused(head, { text, status, flag, phase: 'route', objects: references(objects) });
  }
  const matched = { ...head, steps: [...head.steps, ...matchedSteps(decision)] };
  if (decision.kind === 'redirect') {
    const { status } = decision.action;
    const location = redirectLocation(decision.action, request);
    const text = `redirected to ${location}`;
    return ends(matched, { outcome: 'answered', status, phase: 'answer', text });
  }
  if (decision.kind === 'direct-response') {
    const { status, body } = decision.action;
    const text = `answered by the rule with ${status}, ${body.length} bytes`;
    return ends(matched, { outcome: 'answered', status, phase: 'answer', text });
  }
  const refusal = refusedPreflight(decision, asked);
  if (refusal !== undefined) return endsRefused(matched, refusal);
  const faulted = { ...matched, steps: [...matched.steps, ...faultSteps(decision)] };
  const abort = certainAbort(decision, asked);
  if (abort !== undefined) return ends(faulted, abort);
  const sent = { ...faulted, steps: [...faulted.steps, ...sendingSteps(decision, asked)] };
  return goesOn(sent, shareBranches(decision, to, context));
}

export function routeConnection(head: HopHead, to: RoutedTo, context: WaypointContext): Hop {
  const { view, caller } = context;
  const { workload } = caller;
  const decision = matchTcp(view.routes(to.service).tcp, {
    destinationIp: parseIp(to.service.addresses[0]?.address ?? '') ?? new Uint8Array(4),
    port: to.port,
    source: {
      ip: caller.ip,
      ...(workload === undefined ? {} : { namespace: workload.namespace, labels: workload.labels }),
    },
  });
  if (decision.kind === 'no-route') {
    const objects = [...new Set(decision.tried.map(({ origin }) => origin.object))];
    const text = `no TCP rule of ${objects.join(', ')} matches the connection`;
    return endsRefused(head, { text, flag: decision.flag, objects: references(objects) });
  }
  const { rule, shares } = decision;
  const step =
    rule === undefined
      ? note('route: none, so the service itself')
      : note(`route: rule matches: ${rule.conditions}`, [
          { key: rule.origin.object, path: rule.origin.path },
        ]);
  const total = shares.reduce((sum, { weight }) => sum + weight, 0);
  const branches = shares.map(({ weight, target }): Branch => {
    const label = shareLabel(weight, total);
    if (target.kind === 'invalid') return { label, hop: invalidShare(target.text, {}) };
    return { label, hop: clusterHop({ ref: target.cluster, to, context, steps: () => [] }) };
  });
  return goesOn({ ...head, steps: [...head.steps, step] }, branches);
}

function shareBranches(
  decision: Routed,
  to: RoutedTo,
  context: WaypointContext,
): readonly Branch[] {
  const { clusters } = decision.action;
  const refusal = unclearRewrite(decision, context.asked);
  const total = clusters.reduce((sum, { weight }) => sum + weight, 0);
  return clusters.map((share): Branch => {
    const { weight, target } = share;
    const label = shareLabel(weight, total);
    if (target.kind === 'invalid') {
      const { status, flag, text } = target;
      const answer = { status, ...(flag === '-' ? {} : { flag }), phase: 'forward' } as const;
      return { label, hop: invalidShare(text, answer) };
    }
    const steps: ClusterSteps = (cluster) => clusterSteps(decision, cluster);
    const by = { decision, share };
    return {
      label,
      hop: clusterHop({ ref: target.cluster, to: { ...to, by }, context, steps, refusal }),
    };
  });
}

type ClusterSteps = (cluster: Parameters<typeof clusterSteps>[1]) => readonly Step[];

interface ClusterQuestion {
  readonly ref: ClusterRef;
  readonly to: RoutedTo;
  readonly context: WaypointContext;
  readonly steps: ClusterSteps;
  /** Of what would be sent there. */
  readonly refusal?: Refusal | undefined;
}

function clusterHop({ ref, to, context, steps, refusal }: ClusterQuestion): Hop {
  const { view, isRequest } = context;
  const subset = ref.subset === undefined ? '' : ` subset ${ref.subset}`;
  const head: HopHead = { place: 'waypoint', title: `${ref.host}:${ref.port}${subset}`, steps: [] };
  const answer = isRequest ? ({ status: 503, phase: 'forward' } as const) : {};
  const unavailable = (text: string, flag: string): Hop =>
    endsRefused(head, { text, flag, ...answer });
  const resolved = view.cluster(ref);
  if (resolved === undefined) {
    return unavailable(`no DestinationRule in force defines${subset || ' the host'}`, 'NC');
  }
  const { cluster, service } = resolved;
  const mode = cluster.tls?.mode;
  if (mode === 'SIMPLE' || mode === 'MUTUAL') {
    return unavailable(`TLS (${mode}) to the backend is not originated yet`, 'UF');
  }
  const endpoints = view.endpoints(resolved);
  const known = { ...head, steps: steps(cluster) };
  if (refusal !== undefined) return endsRefused(known, refusal);
  if (endpoints.length === 0) {
    const text = `no healthy upstream: ${serviceKey(service)}${subset} has no ready endpoint`;
    return endsRefused(known, { text, flag: 'UH', ...answer });
  }
  return goesOn(
    known,
    foldBranches(endpoints, (endpoint) => endpointHop(endpoint, to, context)),
  );
}

function invalidShare(text: string, answer: Pick<Refusal, 'status' | 'flag' | 'phase'>): Hop {
  return endsRefused({ place: 'waypoint', title: 'no backend', steps: [] }, { text, ...answer });
}

function shareLabel(weight: number, total: number): string {
  if (weight === total) return '';
  return `${Math.round((1000 * weight) / total) / 10} %`;
}
