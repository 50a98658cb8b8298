/** What is not as it should be, one line each. */
import type { EnrolledNamespace, TroubledObject } from '@ambit/model';
import { formatSpan } from '../output.ts';
import type { Asked, MeshStatus } from './collect-status.ts';
import { proxyProblems } from './proxy-rows.ts';

/** Rotating a root takes its time. */
const ROOT_LEFT_MS_MIN = 30 * 86_400_000;
const NAMES_SHOWN_MAX = 5;

export interface Known extends Omit<MeshStatus, 'problems' | 'warnings' | 'more'> {
  readonly asked: readonly Asked[];
  readonly troubled: readonly TroubledObject[];
  readonly leader: string | undefined;
  /** Of versions. */
  readonly skew: readonly string[];
}

export function problemsOf(known: Known): readonly string[] {
  const { controller, proxies, asked, troubled, namespaces, leader } = known;
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
    ...troubled.map(objectProblem),
  ].filter((problem, i, all) => all.indexOf(problem) === i);
}

function namespaceProblems({
  namespace,
  bypassed,
  missing,
  pods,
  contested = [],
  more = {},
}: EnrolledNamespace): readonly string[] {
  return [
    ...(bypassed === undefined ? [] : [`namespace ${namespace} is bypassed: ${bypassed}`]),
    ...(missing.length === 0
      ? []
      : [
          `${missing.length + (more.missing ?? 0)} of ${pods} pods of namespace ${namespace} are not captured: ${some(missing, more.missing)}`,
        ]),
    ...(contested.length === 0
      ? []
      : [
          `${contested.length + (more.contested ?? 0)} pods of namespace ${namespace} are captured by Istio too, whose rules stand beside those of this mesh: ${some(contested, more.contested)}: keep Istio off them (docs/migrate-from-istio.md, step 3) and make them anew`,
        ]),
  ];
}

/** The first names, and how many there are besides; `uncounted` are not among them. */
export function some(names: readonly string[], uncounted = 0): string {
  const more = names.length + uncounted - NAMES_SHOWN_MAX;
  const shown = names.slice(0, NAMES_SHOWN_MAX).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}

function objectProblem({ key, state, reason, message }: TroubledObject): string {
  switch (state) {
    case 'refused':
      return `${key} is not accepted: ${reason}: ${message}`;
    case 'invalid':
      return `${key}: ${message}`;
    case 'not-enforced':
      return `${key} is not enforced: ${reason}: ${message}`;
  }
}
