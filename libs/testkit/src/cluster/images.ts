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

const SOURCES = [
  'apps/*/src/**/*.{ts,mjs,json}',
  'libs/*/src/**/*.{ts,mjs,go,c}',
  'manifests/samples/**/*.mjs',
  'tools/{bundle,image}*',
  'package-lock.json',
];
const MARK = 'ambit-test-images';

export interface TestImages {
  /** Of Ambit's images and of the programs'. */
  readonly tag: string;
  readonly program: (name: 'node' | 'go' | 'c') => string;
}

export async function loadImages(): Promise<TestImages> {
  const tag = `test-${hashOfSources()}`;
  const mark = await tryKubectl(['get', 'configmap', MARK, '-o', 'jsonpath={.data.tag}']);
  if (mark.stdout !== tag) {
    if ((process.env['AMBIT_IMAGE_LOADER'] ?? '') === '') {
      throw new Error('AMBIT_IMAGE_LOADER is not set, for instance to "kind load image-archive"');
    }
    const out = mkdtempSync(join(tmpdir(), 'ambit-images-'));
    try {
      await build('image.ts', 'all', '--tag', tag, '--out', out, '--load');
      await build('image-programs.ts', '--tag', tag, '--out', out, '--load');
    } finally {
      rmSync(out, { recursive: true, force: true });
    }
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: MARK }, data: { tag } };
    await kubectl(['apply', '-f', '-'], JSON.stringify(object));
  }
  return { tag, program: (name) => `docker.io/ambit-test/${name}:${tag}` };
}

async function build(script: string, ...args: readonly string[]): Promise<void> {
  const path = join(root, 'tools', script);
  const { code, stdout, stderr } = await finish(spawn(process.execPath, [path, ...args]));
  if (code !== 0) {
    throw new Error(`${script} ended with ${code}\n${stderr}${stdout}`);
  }
}

function hashOfSources(): string {
  const exclude = (path: string): boolean => path.endsWith('.test.ts') || path === 'node_modules';
  const hash = createHash('sha256');
  for (const file of globSync(SOURCES, { cwd: root, exclude }).sort()) {
    if (!file.endsWith('.test.ts')) {
      hash.update(file).update(readFileSync(join(root, file)));
    }
  }
  return hash.digest('hex').slice(0, 12);
}
