/** Versions in a mesh that differ, as sentences: what is supported while an upgrade runs, and what is not. */
import { VERSION } from '../version.ts';
import { clientSkew, type Named, newestOf, proxySkew, SKEW_HINTS } from './skew.ts';

export interface VersionFindings {
  /** Outside of what is supported. */
  readonly problems: readonly string[];
  /** Supported, and not to stay so. */
  readonly warnings: readonly string[];
}

export interface Versions {
  readonly controllers: readonly string[];
  readonly proxies: readonly Named[];
  /** Default: the one that runs. */
  readonly meshctl?: string;
}

const NAMES_SHOWN_MAX = 5;

export function versionFindings(versions: Versions): VersionFindings {
  const { controllers } = versions;
  const distinct = [...new Set(controllers)].sort();
  const proxies = proxyFindings(versions);
  return {
    problems: [
      ...(distinct.length > 1 ? [`controllers are of versions ${distinct.join(' and ')}`] : []),
      ...proxies.problems,
    ],
    warnings: [...proxies.warnings, ...clientWarnings(versions)],
  };
}

/** One line for all of one version. */
export function proxyFindings({ controllers, proxies }: Versions): VersionFindings {
  const byVersion = Map.groupBy(proxies, ({ version }) => version);
  const problems: string[] = [];
  const warnings: string[] = [];
  for (const [version, of] of [...byVersion].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { state, distance } = proxySkew(version, controllers);
    if (state === 'same' || state === 'unknown') continue;
    const names = of.map(({ name }) => name).sort();
    const said = `${some(names)} ${names.length === 1 ? 'is' : 'are'} of version ${version}, ${distance} than the controller (${newestOf(controllers) ?? ''})`;
    if (state === 'supported') warnings.push(`${said}: supported while an upgrade runs`);
    else problems.push(`${said}: ${SKEW_HINTS[state]}`);
  }
  return { problems, warnings };
}

export function clientWarnings({ controllers, meshctl = VERSION }: Versions): readonly string[] {
  const { state, distance } = clientSkew(meshctl, controllers);
  if (state !== 'too-old' && state !== 'too-new') return [];
  const controller = newestOf(controllers) ?? '';
  return [
    `meshctl is of version ${meshctl}, ${distance} than the controller (${controller}): use the one of ${controller}`,
  ];
}

function some(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN_MAX;
  const shown = names.slice(0, NAMES_SHOWN_MAX).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}
