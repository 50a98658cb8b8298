/**
 * Images of the programs that scenarios run in pods, built as users build theirs: one on Node, one static in Go, one static in
 * C. Nothing in them knows of the mesh.
 *
 * Usage: image-programs.ts --tag TAG --out DIR [--load]. `--load` as of tools/image.ts. Needs go and gcc.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadArchive } from './image.ts';
import type { Arch } from './image-debian.ts';
import { type Layer, NODE_PATH, runtimeLayer } from './image-files.ts';
import { dockerArchive, makeImage, packLayer } from './image-oci.ts';
import type { FileEntry } from './image-tar.ts';

const root = dirname(import.meta.dirname);
const SOURCES = join(root, 'libs', 'testkit', 'src', 'cluster', 'programs');
const SCRIPTS = [join(root, 'libs', 'lab', 'src', 'scenarios', 'programs'), SOURCES];
const BOOKSHOP = join(root, 'manifests', 'samples', 'bookshop');
const REPOSITORY = 'docker.io/ambit-test';
const EPOCH = 0;
const arch: Arch = process.arch === 'arm64' ? 'arm64' : 'x64';

interface ProgramImage {
  readonly name: string;
  readonly layers: readonly Layer[];
  readonly entrypoint: readonly string[];
}

function file(path: string, bytes: Buffer, mode = 0o644): FileEntry {
  return { path, mode, content: { kind: 'file', bytes } };
}

/** `.mjs` files of these folders in /app, which the pods of the samples start in. */
function scriptLayer(): Layer {
  const files = [...SCRIPTS, BOOKSHOP].flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.mjs'))
      .map((name) => file(`/app/${name}`, readFileSync(join(folder, name)))),
  );
  return { comment: 'scripts', files };
}

function programLayer(name: string, build: (output: string) => void): Layer {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-program-'));
  try {
    const output = join(folder, name);
    build(output);
    return { comment: name, files: [file(`/${name}`, readFileSync(output), 0o755)] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function programImages(): Promise<readonly ProgramImage[]> {
  const inherit = { stdio: ['ignore', 'inherit', 'inherit'] as const };
  const go = programLayer('go', (output) => {
    const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false', GOWORK: 'off' };
    const args = ['build', '-trimpath', '-ldflags', '-s -w', '-o', output, '.'];
    execFileSync('go', args, { cwd: join(SOURCES, 'go'), env, stdio: [...inherit.stdio] });
  });
  const c = programLayer('c', (output) => {
    const args = [
      '-Os',
      '-static',
      '-s',
      '-Wall',
      '-Werror',
      '-o',
      output,
      join(SOURCES, 'main.c'),
    ];
    execFileSync('gcc', args, { stdio: [...inherit.stdio] });
  });
  return [
    { name: 'node', layers: [await runtimeLayer(arch), scriptLayer()], entrypoint: [NODE_PATH] },
    { name: 'go', layers: [go], entrypoint: ['/go'] },
    { name: 'c', layers: [c], entrypoint: ['/c'] },
  ];
}

async function main(argv: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      tag: { type: 'string', default: 'latest' },
      out: { type: 'string', default: join(root, 'dist', 'images') },
      load: { type: 'boolean', default: false },
    },
  });
  mkdirSync(values.out, { recursive: true });
  for (const { name, layers, entrypoint } of await programImages()) {
    const packed = [];
    for (const layer of layers) {
      packed.push(await packLayer(layer, EPOCH));
    }
    const settings = { user: '', entrypoint, env: ['PATH=/usr/bin:/'], ports: [], labels: {} };
    const image = makeImage(arch, packed, { ...settings, workingDir: '/app', epoch: EPOCH });
    const reference = `${REPOSITORY}/${name}:${values.tag}`;
    const path = join(values.out, `${name}.tar`);
    writeFileSync(path, await dockerArchive(image, reference, EPOCH));
    console.log(reference);
    if (values.load) {
      loadArchive(path);
    }
  }
}

await main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(`image-programs: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
