/** What a matched rule says, in words. */
import {
  type Cluster,
  drawFault,
  pathToSend,
  type RouteDecision,
  requestSettings,
} from '@ambit/routing';
import type { AskedRequest } from './caller.ts';
import { during, type Ending, note, references } from './hop-parts.ts';
import type { ObjectReference, Step } from './types.ts';

type Routed = Extract<RouteDecision, { kind: 'route' }>;
type Matched = Exclude<RouteDecision, { kind: 'no-route' }>;

const HIGHEST_DRAW = 1 - Number.EPSILON;
const GRPC_TYPE = /^application\/grpc(?:$|[+;])/;
/** Of gRPC. */
const UNAVAILABLE = 14;

export function matchedSteps(decision: Matched): readonly Step[] {
  const { rule } = decision;
  if (rule === undefined) return during('route', note('route: none, so the service itself'));
  const name = decision.routeName === '' ? '' : `"${decision.routeName}" `;
  const text = `route: rule ${name}matches: ${rule.conditions}`;
  return during('route', note(text, originOf(decision)));
}

/** What the rule does to a request that goes on, besides choosing where it goes. */
export function sendingSteps(decision: Routed, asked: AskedRequest): readonly Step[] {
  const { action } = decision;
  const objects = originOf(decision);
  const rewrites: Step[] = [];
  if (action.path !== undefined) {
    const { path } = pathToSend(asked.path, action.path);
    rewrites.push(note(`rewrite: the path becomes ${path}`, objects));
  }
  if (action.authority !== undefined) {
    rewrites.push(note(`rewrite: the host becomes ${action.authority}`, objects));
  }
  const mirrors = action.mirrors.map(({ cluster, percentage }) => {
    const subset = cluster.subset === undefined ? '' : ` subset ${cluster.subset}`;
    return note(`mirror: ${percentage} % are copied to ${cluster.host}${subset}`, objects);
  });
  return during('forward', ...rewrites, ...mirrors);
}

/** Before it goes on. */
export function faultSteps(decision: Routed): readonly Step[] {
  const objects = originOf(decision);
  const { delay, abort } = decision.action.fault ?? {};
  const steps: Step[] = [];
  if (delay !== undefined && delay.percentage > 0) {
    const text = `fault: ${delay.percentage} % wait ${seconds(delay.fixedDelayMs)}`;
    steps.push(note(text, objects));
  }
  if (abort !== undefined && abort.percentage > 0) {
    const answer = abort.httpStatus ?? abort.grpcStatus ?? '';
    steps.push(note(`fault: ${abort.percentage} % are answered with ${answer}`, objects));
  }
  return during('fault', ...steps);
}

/** The answer of a fault that every request gets; undefined: some go on. */
export function certainAbort(decision: Routed, { fields }: AskedRequest): Ending | undefined {
  // The highest draw: who is aborted by it is aborted by every one.
  const { abort } = drawFault(decision.action.fault, () => HIGHEST_DRAW);
  if (abort === undefined) return undefined;
  const isGrpc = GRPC_TYPE.test(fields.get('content-type') ?? '');
  const grpcStatus = abort.kind === 'grpc' ? abort.status : isGrpc ? UNAVAILABLE : undefined;
  const [status, text] =
    grpcStatus === undefined
      ? [abort.status, `${abort.status}`]
      : [200, `gRPC status ${grpcStatus}`];
  const objects = originOf(decision);
  return {
    outcome: 'answered',
    status,
    flag: 'FI',
    phase: 'fault',
    text: `answered by the fault with ${text}`,
    objects,
  };
}

export function clusterSteps(decision: Routed, cluster: Cluster): readonly Step[] {
  const settings = requestSettings(decision.action, cluster.requestDefaults);
  const { attempts, conditions, statusCodes } = settings.retry;
  const when = [...conditions, ...statusCodes].filter((name) => name !== 'retriable-status-codes');
  const retries =
    attempts === 0
      ? 'no retries'
      : `${attempts} ${attempts === 1 ? 'retry' : 'retries'} on ${when.join(', ')}`;
  const timeout =
    settings.timeoutMs === undefined ? 'no timeout' : `timeout ${seconds(settings.timeoutMs)}`;
  const objects = references(cluster.objects);
  const { subset } = cluster.ref;
  const labels = Object.entries(cluster.subsetLabels).map(([name, value]) => `${name}=${value}`);
  const balancer = cluster.loadBalancer.simple ?? 'LEAST_REQUEST';
  const outlier = cluster.outlierDetection === undefined ? '' : ', outlier detection';
  return during(
    'forward',
    ...(subset === undefined
      ? []
      : [note(`subset ${subset}: ${labels.join(', ') || 'every endpoint'}`, objects)]),
    note(`${balancer}${outlier}, ${timeout}, ${retries}`, subset === undefined ? objects : []),
  );
}

/** The rule that matched. */
export function originOf({ rule }: Matched): readonly ObjectReference[] {
  return rule === undefined ? [] : [{ key: rule.origin.object, path: rule.origin.path }];
}

function seconds(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${ms / 1000} s`;
}
