/** What is not as it should be, one line each. */
import type { AdminObject } from '@ambit/model';
import { conditionOf } from '../admin-answers.ts';
import { formatSpan } from '../output.ts';
import type { Asked, MeshStatus } from './collect-status.ts';
import type { EnrolledNamespace } from './enrolled.ts';
import { proxyProblems } from './proxy-rows.ts';

/** Rotating a root takes its time. */
const ROOT_LEFT_MS_MIN = 30 * 86_400_000;
const NAMES_SHOWN_MAX = 5;

export interface Known extends Omit<MeshStatus, 'problems' | 'warnings'> {
  readonly asked: readonly Asked[];
  readonly objects: readonly AdminObject[];
  readonly leader: string | undefined;
  /** Of versions. */
  readonly skew: readonly string[];
}

export function problemsOf(known: Known): readonly string[] {
  const { controller, proxies, asked, objects, namespaces, leader } = known;
  const { nowMs, root } = controller;
  const rootLeftMs = root.notAfterMs - nowMs;
  const expired = asked
    .flatMap(({ answer }) => answer?.certificates ?? [])
    .filter(({ notAfterMs }) => notAfterMs <= nowMs);
  return [
    ...asked.flatMap(({ of, error }) =>
      error === undefined
        ? []
        : [`controller ${of.name} does not answer: ${error.why ?? error.message}`],
    ),
    ...(leader === ''
      ? ['no replica of the controller leads: nothing is written to the cluster']
      : []),
    ...asked.flatMap(({ answer }) =>
      (answer?.controller.problems ?? []).map((problem) => `controller: ${problem}`),
    ),
    ...(rootLeftMs < ROOT_LEFT_MS_MIN
      ? [`the root certificate ends in ${formatSpan(rootLeftMs)}`]
      : []),
    ...proxies.flatMap((proxy) => proxyProblems(proxy, nowMs)),
    ...(known.certificates.expired === 0
      ? []
      : expired.map(({ identity, proxy }) => `certificate of ${identity} at ${proxy} has expired`)),
    ...namespaces.flatMap(namespaceProblems),
    ...known.skew,
    ...objects.flatMap(objectProblems),
  ].filter((problem, i, all) => all.indexOf(problem) === i);
}

function namespaceProblems({
  namespace,
  bypassed,
  missing,
  pods,
  contested = [],
}: EnrolledNamespace): readonly string[] {
  return [
    ...(bypassed === undefined ? [] : [`namespace ${namespace} is bypassed: ${bypassed}`]),
    ...(missing.length === 0
      ? []
      : [
          `${missing.length} of ${pods} pods of namespace ${namespace} are not captured: ${some(missing)}`,
        ]),
    ...(contested.length === 0
      ? []
      : [
          `${contested.length} pods of namespace ${namespace} are captured by Istio too, whose rules stand beside those of this mesh: ${some(contested)}: keep Istio off them (docs/migrate-from-istio.md, step 3) and make them anew`,
        ]),
  ];
}

function some(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN_MAX;
  const shown = names.slice(0, NAMES_SHOWN_MAX).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}

function objectProblems(object: AdminObject): readonly string[] {
  const accepted = conditionOf(object, 'Accepted');
  if (accepted?.status === 'False') {
    return [`${object.key} is not accepted: ${accepted.reason}: ${accepted.message}`];
  }
  const invalid = object.status?.findings.find(({ code }) => code === 'BYPASS_INVALID');
  if (invalid !== undefined) return [`${object.key}: ${invalid.path} ${invalid.message}`];
  const enforced = conditionOf(object, 'Enforced');
  return enforced === undefined || enforced.status === 'True'
    ? []
    : [`${object.key} is not enforced: ${enforced.reason}: ${enforced.message}`];
}
