/**
 * What a bundle does otherwise than the sources: entry points of threads and processes are files beside it, koffi loads
 * the native file beside it, unused modules of ours are left out, and node-forge is its ASN.1 alone.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join, relative } from 'node:path';
import type { OnLoadResult, Plugin } from 'esbuild';

const root = join(import.meta.dirname, '..');
const require = createRequire(import.meta.url);
const OWN_SOURCE = /\/(?:apps|libs)\/[^/]+\/src\/.*\.ts$/;
/** The two ways in which sources name another entry point. */
const ENTRY_URL = /new URL\('\.\/((?:[\w-]+\/)*[\w-]+)\.ts', import\.meta\.url\)/g;
const MANIFEST_URL = /new URL\('\.\.\/package\.json', import\.meta\.url\)/g;
const ENTRY_PATH = /join\(import\.meta\.dirname, '([\w-]+)\.ts'\)/g;
const SEEN = Symbol('resolved already');

/** Packages of ours do nothing when imported (house rule), so an import that is not used is no reason to load a module. */
export const dropUnusedModules: Plugin = {
  name: 'drop-unused-modules',
  setup(build) {
    build.onResolve({ filter: /^(?:\.|@ambit\/)/ }, async (args) => {
      const isOurs = args.importer.startsWith(root) && OWN_SOURCE.test(args.importer);
      if (args.kind === 'entry-point' || args.pluginData === SEEN || !isOurs) {
        return undefined;
      }
      const { importer, kind, resolveDir, namespace } = args;
      const resolved = await build.resolve(args.path, {
        importer,
        kind,
        resolveDir,
        namespace,
        pluginData: SEEN,
      });
      return resolved.errors.length > 0 ? resolved : { path: resolved.path, sideEffects: false };
    });
  },
};

/**
 * Lets `new URL('./worker/x.ts', import.meta.url)` and `join(import.meta.dirname, 'x.ts')` name `x.mjs` beside the
 * bundle, and the program find its package.json there. Fails for a file that is not among `entryNames`: it would be missing at run time.
 */
export function entriesBeside(entryNames: ReadonlySet<string>): Plugin {
  return {
    name: 'entries-beside',
    setup(build) {
      build.onLoad({ filter: OWN_SOURCE }, (args): OnLoadResult | undefined => {
        const source = readFileSync(args.path, 'utf8');
        const missing: string[] = [];
        const name = (path: string): string => {
          if (!entryNames.has(basename(path))) {
            missing.push(path);
          }
          return `${basename(path)}.mjs`;
        };
        const contents = source
          .replace(ENTRY_URL, (_, path: string) => `new URL('./${name(path)}', import.meta.url)`)
          .replace(MANIFEST_URL, `new URL('./package.json', import.meta.url)`)
          .replace(ENTRY_PATH, (_, path: string) => `join(import.meta.dirname, '${name(path)}')`);
        if (missing.length > 0) {
          const text = `${relative(root, args.path)} starts "${missing.join('", "')}", which is no entry of this bundle`;
          return { errors: [{ text }] };
        }
        return contents === source ? undefined : { contents, loader: 'ts' };
      });
    },
  };
}

/** npm installs one version of a package in several folders; a bundle holds it once. */
export const onePackageOnce: Plugin = {
  name: 'one-package-once',
  setup(build) {
    build.onResolve({ filter: /^yaml$/ }, async (args) => {
      if (args.pluginData === SEEN) {
        return undefined;
      }
      const { importer, kind, resolveDir, namespace } = args;
      const options = { importer, kind, resolveDir, namespace, pluginData: SEEN };
      const resolved = await build.resolve(args.path, options);
      if (resolved.errors.length > 0) {
        return resolved;
      }
      const at = resolved.path.lastIndexOf('/node_modules/');
      const inPackage = resolved.path.slice(at + 1);
      const version = versionAt(join(resolved.path.slice(0, at), 'node_modules', args.path));
      const folder = globSync(`{apps,libs}/*/node_modules/${args.path}`, { cwd: root })
        .sort()
        .find((other) => versionAt(join(root, other)) === version);
      return folder === undefined
        ? resolved
        : { path: join(root, folder, '..', '..', inPackage), sideEffects: resolved.sideEffects };
    });
  },
};

function versionAt(folder: string): unknown {
  const value: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return typeof value === 'object' && value !== null && 'version' in value ? value.version : '';
}

/** Modules whose package is replaced by a few lines. Both are CommonJS, as the packages' own entries. */
const REPLACEMENTS: Readonly<Record<string, string>> = {
  // The package looks for its native file in places that a bundle does not have, in code for twenty platforms.
  // The array keeps esbuild from looking for the file: it is found when the program runs.
  koffi:
    "module.exports = require(['./koffi-', process.platform, '-', process.arch, '.node'].join(''));",
  // Its entry loads RSA, TLS and more; libs/identity wants DER alone.
  'node-forge':
    "require('node-forge/lib/asn1.js'); module.exports = require('node-forge/lib/forge.js');",
};

export const replacedPackages: Plugin = {
  name: 'replaced-packages',
  setup(build) {
    const filter = new RegExp(`^(?:${Object.keys(REPLACEMENTS).join('|')})$`);
    build.onResolve({ filter }, ({ path }) => ({ path, namespace: 'replaced' }));
    build.onLoad({ filter: /.*/, namespace: 'replaced' }, ({ path }) => ({
      contents: REPLACEMENTS[path] ?? '',
      resolveDir: root,
    }));
  },
};

/** koffi's native file for the C library that the images have. Undefined when the package is not installed. */
export function nativeFile(arch: 'x64' | 'arm64'): string | undefined {
  const file = `linux_${arch}/koffi.node`;
  try {
    const path = join(require.resolve(`@koromix/koffi-linux-${arch}/package.json`), '..', file);
    return existsSync(path) ? path : undefined;
  } catch {
    // npm installs the package of the machine's own platform only; image.ts brings the other.
    return undefined;
  }
}
