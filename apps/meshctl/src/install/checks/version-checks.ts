/** Do the versions of meshctl, controllers, agents and waypoints go together? */
import { UserError } from '../../errors.ts';
import { type MeshVersions, meshVersions } from '../../status/mesh-versions.ts';
import { newestOf, proxySkew, SKEW_HINTS } from '../../status/skew.ts';
import { clientWarnings, proxyFindings } from '../../status/version-findings.ts';
import { clusterMesh } from '../../target/cluster-mesh.ts';
import { VERSION } from '../../version.ts';
import { type Check, type CheckContext, error, type Outcome, ok, some, warning } from './check.ts';

const asked = new WeakMap<CheckContext, Promise<MeshVersions>>();

export const VERSION_CHECKS: readonly Check[] = [
  {
    id: 'controller-versions',
    category: 'Versions',
    description: 'all replicas of the controller are of one version',
    hint: 'kubectl rollout status says how far an upgrade is; otherwise meshctl upgrade.',
    run: (context) => ofMesh(context, judgeControllers),
  },
  {
    id: 'meshctl-version',
    category: 'Versions',
    description: "meshctl is of the controller's version, or one minor version newer",
    hint: 'Use the meshctl of that version: another may not understand what it is told.',
    run: (context) => ofMesh(context, judgeMeshctl),
  },
  {
    id: 'proxy-versions',
    category: 'Versions',
    description: "agents and waypoints are of the controller's version, or one minor version older",
    hint: `Of older ones: ${SKEW_HINTS['too-old']}. Of newer ones: ${SKEW_HINTS['too-new']}.`,
    run: (context) => ofMesh(context, judgeProxies),
  },
];

async function ofMesh(
  context: CheckContext,
  judge: (versions: MeshVersions) => Outcome,
): Promise<Outcome> {
  const { cluster, namespace } = context;
  const known =
    asked.get(context) ?? meshVersions(clusterMesh(cluster, { meshNamespace: namespace }));
  asked.set(context, known);
  try {
    return judge(await known);
  } catch (failure) {
    if (!(failure instanceof UserError)) throw failure;
    return error(`could not be tested: ${failure.message} (${failure.why ?? ''})`);
  }
}

export function judgeControllers({ controllers, silent }: MeshVersions): Outcome {
  const versions = [...new Set(controllers.map(({ version }) => version))].sort();
  if (versions.length > 1)
    return warning(some(controllers.map((one) => `${one.name}: ${one.version}`)));
  return silent.length === 0
    ? ok(versions.join(''))
    : warning(`${some(silent)} did not say, the tag is ${versions.join('') || 'unknown'}`);
}

export function judgeMeshctl({ controllers }: MeshVersions, meshctl = VERSION): Outcome {
  const of = controllers.map(({ version }) => version);
  const [found] = clientWarnings({ controllers: of, proxies: [], meshctl });
  return found === undefined ? ok(meshctl) : warning(found);
}

export function judgeProxies({ controllers, proxies }: MeshVersions): Outcome {
  const of = controllers.map(({ version }) => version);
  const { problems } = proxyFindings({ controllers: of, proxies });
  if (problems.length > 0) return warning(problems.map(withoutHint).join('; '));
  const behind = proxies.filter(({ version }) => proxySkew(version, of).state === 'supported');
  if (behind.length === 0) return ok();
  const distinct = [...new Set(behind.map(({ version }) => version))].sort();
  return ok(
    `${behind.length} of ${proxies.length} are of ${distinct.join(', ')}, ${newestOf(of) ?? ''} is the controller's`,
  );
}

/** The check has it. */
function withoutHint(problem: string): string {
  return problem.replace(/: (?:upgrade .*)$/, '');
}
