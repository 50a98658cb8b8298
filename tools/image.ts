/**
 * Builds container images without a container engine: `npm run image -- controller|node-agent|waypoint|all`.
 *
 * Writes to `--out` (default dist/images) an OCI layout NAME.oci/ with every platform, and a docker-archive
 * NAME-ARCH.tar each. Reproducible: files are sorted, owned by root and of one time, SOURCE_DATE_EPOCH or the commit's.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundleApp } from './bundle.ts';
import { type Arch, lockNewest } from './image-debian.ts';
import {
  APP_FOLDER,
  appLayer,
  type ImageName,
  type Layer,
  NOBODY,
  NODE_PATH,
  runtimeLayer,
  toolsLayer,
} from './image-files.ts';
import {
  dockerArchive,
  type Image,
  type ImageSettings,
  makeImage,
  type PackedLayer,
  PLATFORM,
  packLayer,
  writeLayout,
} from './image-oci.ts';
import { withFolders } from './image-tar.ts';

const root = dirname(import.meta.dirname);
const REPOSITORY = 'docker.io/ambit';
/** Layers without a line of ours stay the same from commit to commit, so that nodes fetch them once. */
const RUNTIME_EPOCH = 0;

interface ImageFacts {
  readonly title: string;
  readonly user: string;
  readonly ports: readonly string[];
}

const UNPRIVILEGED = `${NOBODY}:${NOBODY}`;
export const IMAGES: Readonly<Record<ImageName, ImageFacts>> = {
  controller: {
    title: 'Ambit controller',
    user: UNPRIVILEGED,
    ports: ['15012/tcp', '15014/tcp', '15017/tcp', '15021/tcp'],
  },
  // Entering network namespaces takes root; the chart takes every capability away that this does not need.
  'node-agent': { title: 'Ambit node agent', user: '0:0', ports: ['15020/tcp', '15021/tcp'] },
  waypoint: {
    title: 'Ambit waypoint',
    user: UNPRIVILEGED,
    ports: ['15008/tcp', '15020/tcp', '15021/tcp'],
  },
};

export interface BuildOptions {
  readonly names: readonly ImageName[];
  readonly arches: readonly Arch[];
  readonly tag: string;
  readonly out: string;
  /** Also NAME-ARCH.rootfs/, the files themselves. */
  readonly rootfs: boolean;
  /** Seconds since 1970: the time of the program's files and of the image. */
  readonly epoch: number;
  /** Commit. */
  readonly revision: string;
}

export interface BuiltImage {
  readonly name: ImageName;
  /** As a cluster names it. */
  readonly reference: string;
  readonly indexDigest: string;
  /** Of each platform's docker-archive. */
  readonly archives: readonly {
    readonly arch: Arch;
    readonly file: string;
    readonly bytes: number;
  }[];
  readonly compressedBytes: number;
}

export async function buildImages(options: BuildOptions): Promise<readonly BuiltImage[]> {
  const { epoch } = options;
  const bases = new Map<Arch, { readonly layer: Layer; readonly packed: PackedLayer }>();
  for (const arch of options.arches) {
    const layer = await runtimeLayer(arch);
    bases.set(arch, { layer, packed: await packLayer(layer, RUNTIME_EPOCH) });
  }
  mkdirSync(options.out, { recursive: true });
  const built: BuiltImage[] = [];
  const bundles = mkdtempSync(join(tmpdir(), 'ambit-images-'));
  try {
    for (const name of options.names) {
      const bundle = join(bundles, name);
      await bundleApp(name, bundle);
      const images: Image[] = [];
      for (const [arch, base] of bases) {
        const tools = name === 'node-agent' ? [await toolsLayer(arch)] : [];
        const app = await appLayer(arch, bundle, base.layer);
        if (options.rootfs) {
          const folder = join(options.out, `${name}-${PLATFORM[arch]}.rootfs`);
          writeRootfs(folder, [base.layer, ...tools, app]);
        }
        const packed = [base.packed];
        for (const layer of tools) {
          packed.push(await packLayer(layer, RUNTIME_EPOCH));
        }
        packed.push(await packLayer(app, epoch));
        images.push(makeImage(arch, packed, settingsOf(name, options)));
      }
      built.push(await writeImage(name, images, options));
    }
  } finally {
    rmSync(bundles, { recursive: true });
  }
  return built;
}

async function writeImage(
  name: ImageName,
  images: readonly Image[],
  { out, tag, epoch }: BuildOptions,
): Promise<BuiltImage> {
  const reference = `${REPOSITORY}/${name}:${tag}`;
  const archives: { arch: Arch; file: string; bytes: number }[] = [];
  for (const image of images) {
    const bytes = await dockerArchive(image, reference, epoch);
    const file = join(out, `${name}-${PLATFORM[image.arch]}.tar`);
    writeFileSync(file, bytes);
    archives.push({ arch: image.arch, file, bytes: bytes.length });
  }
  const indexDigest = writeLayout(join(out, `${name}.oci`), images, reference);
  const compressedBytes = images[0]?.layers.reduce((sum, { gzip }) => sum + gzip.length, 0) ?? 0;
  return { name, reference, indexDigest, archives, compressedBytes };
}

function settingsOf(name: ImageName, { epoch, revision }: BuildOptions): ImageSettings {
  const { title, user, ports } = IMAGES[name];
  return {
    user,
    ports,
    entrypoint: [NODE_PATH, ...heapFlags(name), `${APP_FOLDER}/main.mjs`],
    env: ['PATH=/usr/sbin:/usr/bin'],
    labels: {
      'org.opencontainers.image.title': title,
      'org.opencontainers.image.version': version(),
      'org.opencontainers.image.revision': revision,
      'org.opencontainers.image.created': new Date(epoch * 1_000).toISOString(),
      'org.opencontainers.image.licenses': 'Apache-2.0',
    },
    epoch,
  };
}

/** Of what the container may use, for the main thread of a program that has workers; they have limits of their own. */
function heapFlags(name: ImageName): readonly string[] {
  return name === 'controller' ? [] : ['--max-old-space-size-percentage=20'];
}

function writeRootfs(folder: string, layers: readonly Layer[]): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const { path, mode, content } of withFolders(layers.flatMap(({ files }) => files))) {
    const target = join(folder, path);
    if (content.kind === 'folder') {
      mkdirSync(target, { mode });
    } else if (content.kind === 'file') {
      writeFileSync(target, content.bytes, { mode });
    } else {
      symlinkSync(content.target, target);
    }
  }
}

export function version(): string {
  const value: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return typeof value === 'object' && value !== null && 'version' in value
    ? String(value.version)
    : '0.0.0';
}

function git(...args: string[]): string {
  try {
    const stdio = ['ignore', 'pipe', 'ignore'] as const;
    return execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: [...stdio] }).trim();
  } catch {
    // A source archive has no history; SOURCE_DATE_EPOCH then dates its images.
    return '';
  }
}

/** Seconds since 1970. */
function sourceEpoch(): number {
  const epoch = Number(process.env['SOURCE_DATE_EPOCH'] ?? git('log', '-1', '--format=%ct'));
  if (!Number.isInteger(epoch) || epoch < 0) {
    throw new Error('SOURCE_DATE_EPOCH is not a number of seconds');
  }
  return epoch;
}

const ARCH_OF: Readonly<Record<string, Arch>> = { 'linux/amd64': 'x64', 'linux/arm64': 'arm64' };

const USAGE = `Usage: npm run image -- controller|node-agent|waypoint|all [--platform linux/amd64[,linux/arm64]]
         [--tag TAG] [--out DIR] [--rootfs] [--load]
       npm run image -- lock     pin the newest Debian packages

--load runs the command in AMBIT_IMAGE_LOADER with each archive's path appended, as "kind load image-archive".`;

function parseArguments(argv: readonly string[]): BuildOptions & { readonly load: boolean } {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      platform: {
        type: 'string',
        default: process.arch === 'arm64' ? 'linux/arm64' : 'linux/amd64',
      },
      tag: { type: 'string', default: version() },
      out: { type: 'string', default: join(root, 'dist', 'images') },
      rootfs: { type: 'boolean', default: false },
      load: { type: 'boolean', default: false },
    },
  });
  const all = Object.keys(IMAGES) as ImageName[];
  const names = positionals.flatMap((name) => (name === 'all' ? all : [name as ImageName]));
  const unknown = names.find((name) => !all.includes(name));
  if (unknown !== undefined || names.length === 0) {
    throw new Error(
      `${unknown === undefined ? 'no image named' : `no image "${unknown}"`}\n${USAGE}`,
    );
  }
  const arches = values.platform.split(',').map((platform) => {
    const arch = ARCH_OF[platform];
    if (arch === undefined) {
      throw new Error(`platform "${platform}"; allowed: ${Object.keys(ARCH_OF).join(', ')}`);
    }
    return arch;
  });
  const { tag, out, rootfs, load } = values;
  const epoch = sourceEpoch();
  const revision = git('rev-parse', 'HEAD');
  return { names, arches, tag, out, rootfs, load, epoch, revision };
}

/** Hands an archive to the command of AMBIT_IMAGE_LOADER. */
export function loadArchive(file: string): void {
  const loader = process.env['AMBIT_IMAGE_LOADER'] ?? '';
  if (loader === '') {
    throw new Error('--load needs AMBIT_IMAGE_LOADER, for instance "kind load image-archive"');
  }
  const { status } = spawnSync('sh', ['-c', `${loader} "$1"`, 'sh', file], { stdio: 'inherit' });
  if (status !== 0) {
    throw new Error(`"${loader} ${file}" ended with ${status}`);
  }
}

async function main(argv: readonly string[]): Promise<void> {
  if (argv[0] === 'lock') {
    await lockNewest();
    return;
  }
  const { load, ...options } = parseArguments(argv);
  const native: Arch = process.arch === 'arm64' ? 'arm64' : 'x64';
  for (const { reference, indexDigest, archives, compressedBytes } of await buildImages(options)) {
    console.log(`${reference} ${indexDigest}, ${(compressedBytes / 1e6).toFixed(1)} MB compressed`);
    for (const { file, bytes, arch } of archives) {
      console.log(`  ${file} ${(bytes / 1e6).toFixed(1)} MB`);
      if (load && arch === native) {
        loadArchive(file);
      }
    }
  }
}

if (import.meta.main) {
  await main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(`image: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  });
}
