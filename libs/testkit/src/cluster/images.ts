/**
 * Ambit's three images and those of the test programs, on every node of the cluster: built from this checkout, loaded by
 * $AMBIT_IMAGE_LOADER, and known to the cluster by a ConfigMap, so that test files one after the other load them once.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finish, kubectl, tryKubectl } from './kubectl.ts';

export const root = join(import.meta.dirname, '..', '..', '..', '..');

const SOURCES = {
  mesh: [
    'apps/*/src/**/*.{ts,mjs,json}',
    'libs/!(testkit)/src/**/*.ts',
    'tools/{bundle,image}*',
    'package-lock.json',
  ],
  programs: [
    'libs/{lab,testkit}/src/**/*.{mjs,go,c}',
    'manifests/samples/**/*.mjs',
    'tools/image-programs.ts',
  ],
} as const;
const BUILDS = { mesh: ['image.ts', 'all'], programs: ['image-programs.ts'] } as const;
const MARK = 'ambit-test-images';
type Part = keyof typeof SOURCES;

export interface TestImages {
  /** Of Ambit's images. */
  readonly tag: string;
  readonly program: (name: 'node' | 'go' | 'c') => string;
}

export async function loadImages(): Promise<TestImages> {
  const tag = await loadPart('mesh');
  const ofPrograms = await loadPart('programs');
  return { tag, program: (name) => `docker.io/ambit-test/${name}:${ofPrograms}` };
}

/** The tag, which is of the sources. */
async function loadPart(part: Part): Promise<string> {
  const tag = `test-${hashOf(part)}`;
  const name = `${MARK}-${part}`;
  const mark = await tryKubectl(['get', 'configmap', name, '-o', 'jsonpath={.data.tag}']);
  if (mark.stdout === tag) {
    return tag;
  }
  if ((process.env['AMBIT_IMAGE_LOADER'] ?? '') === '') {
    throw new Error('AMBIT_IMAGE_LOADER is not set, for instance to "kind load image-archive"');
  }
  const out = mkdtempSync(join(tmpdir(), 'ambit-images-'));
  try {
    const [script, ...args] = BUILDS[part];
    await build(script, ...args, '--tag', tag, '--out', out, '--load');
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { tag } };
  await kubectl(['apply', '-f', '-'], JSON.stringify(object));
  return tag;
}

async function build(script: string, ...args: readonly string[]): Promise<void> {
  const path = join(root, 'tools', script);
  const { code, stdout, stderr } = await finish(spawn(process.execPath, [path, ...args]));
  if (code !== 0) {
    throw new Error(`${script} ended with ${code}\n${stderr}${stdout}`);
  }
}

function hashOf(part: Part): string {
  const exclude = (path: string): boolean => path.endsWith('.test.ts') || path === 'node_modules';
  const hash = createHash('sha256');
  for (const file of globSync([...SOURCES[part]], { cwd: root, exclude }).sort()) {
    if (!file.endsWith('.test.ts')) {
      hash.update(file).update(readFileSync(join(root, file)));
    }
  }
  return hash.digest('hex').slice(0, 12);
}
