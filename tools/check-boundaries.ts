/**
 * Fails when a package declares a workspace dependency that its layer may not have.
 *
 * Nx's own boundary rule needs ESLint, and ESLint needs the compiler API that TypeScript 7 dropped.
 * Two checks replace it: Biome's `noUndeclaredDependencies` makes every import a declared
 * dependency, and this makes every declared dependency an allowed one.
 */
import { globSync, readFileSync } from 'node:fs';

interface PackageJson {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly nx?: { readonly tags?: readonly string[] };
}

/** Lower layers first. A package may depend on any layer before its own, and nobody on an app. */
const LAYERS = [
  'core',
  'api',
  'policy',
  'routing',
  'model',
  'explain',
  'telemetry',
  'identity',
  'proxy',
  'h2',
  'hbone',
  'http',
  'xds',
  'netns',
  'kube',
  'lab',
  'testkit',
] as const;

/** Exceptions to the order: what a layer must not see although it stands before. */
const FORBIDDEN: Readonly<Record<string, readonly string[]>> = {
  'app:controller': ['proxy', 'h2', 'hbone', 'http', 'netns', 'lab'],
  'app:node-agent': ['lab', 'http', 'explain', 'kube'],
  'app:waypoint': ['lab', 'explain', 'kube'],
  lab: ['kube'],
};

function layerOf(pkg: PackageJson): string {
  const tag = pkg.nx?.tags?.find((t) => t.startsWith('layer:'));
  if (tag === undefined) {
    throw new Error(`${pkg.name} has no "layer:" tag`);
  }
  return tag.slice('layer:'.length);
}

const packages = globSync('{apps,libs}/*/package.json').map(
  (path) => JSON.parse(readFileSync(path, 'utf8')) as PackageJson,
);
const layers = new Map(packages.map((pkg) => [pkg.name, layerOf(pkg)]));
const rank = (layer: string): number =>
  layer.startsWith('app:') ? LAYERS.length : (LAYERS as readonly string[]).indexOf(layer);

const violations: string[] = [];
for (const pkg of packages) {
  const from = layerOf(pkg);
  if (rank(from) === -1) {
    violations.push(`${pkg.name}: unknown layer ${from}`);
  }
  for (const dependency of Object.keys(pkg.dependencies ?? {})) {
    const to = layers.get(dependency);
    if (to === undefined) {
      continue;
    }
    const upward = rank(to) >= rank(from);
    const isTestkit = to === 'testkit';
    if (upward || isTestkit || (FORBIDDEN[from] ?? []).includes(to)) {
      violations.push(`${pkg.name} (${from}) may not depend on ${dependency} (${to})`);
    }
  }
}
if (violations.length > 0) {
  console.error(violations.join('\n'));
  process.exitCode = 1;
}
