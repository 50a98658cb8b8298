/** An image is built twice and is the same; it holds what it should, and its program starts in it alone. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type BuildOptions, buildImages, IMAGES } from './image.ts';

const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
const platform = arch === 'arm64' ? 'arm64' : 'amd64';
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-image-'));
  const options: Omit<BuildOptions, 'out' | 'names'> = {
    arches: [arch],
    tag: 'test',
    rootfs: true,
    epoch: 1_700_000_000,
    revision: 'test',
  };
  await buildImages({
    ...options,
    names: ['controller', 'node-agent', 'waypoint'],
    out: at('one'),
  });
  await buildImages({ ...options, names: ['node-agent'], out: at('two') });
});

after(() => {
  rmSync(folder, { recursive: true, force: true });
});

function at(...path: readonly string[]): string {
  return join(folder, ...path);
}
const hash = (file: string): string =>
  createHash('sha256').update(readFileSync(file)).digest('hex');

describe('buildImages', () => {
  it('gives the same digests twice', () => {
    const files = globSync('node-agent{-*.tar,.oci/**/*.json,.oci/blobs/**/*}', { cwd: at('two') });
    assert.ok(files.length > 5, files.join(' '));
    for (const file of files.filter((path) => !path.endsWith('sha256'))) {
      assert.equal(hash(at('one', file)), hash(at('two', file)), file);
    }
  });

  it('names blobs by what is in them', () => {
    const blobs = globSync('*.oci/blobs/sha256/*', { cwd: at('one') });
    assert.ok(blobs.length > 10);
    for (const blob of blobs) {
      assert.equal(hash(at('one', blob)), blob.slice(blob.lastIndexOf('/') + 1));
    }
  });

  it('shares the layer of Node', () => {
    const layers = Object.keys(IMAGES).map((name) => manifestOf(name).layers.map((l) => l.digest));
    assert.equal(new Set(layers.map(([first]) => first)).size, 1);
  });

  it('holds no source map, foreign native file or test', () => {
    const wrong = globSync('**/*{.map,.ts,musl*,arm64.node}', { cwd: at('one') }).filter(
      (path) => !path.endsWith(`${arch}.node`),
    );
    assert.deepEqual(wrong, []);
  });

  const privileged = ['node-agent'];
  for (const name of Object.keys(IMAGES)) {
    it(`runs ${name} as ${privileged.includes(name) ? 'root' : 'nobody'} from its own files`, () => {
      const { Entrypoint, User } = configOf(name).config;
      assert.equal(User, privileged.includes(name) ? '0:0' : '65532:65532');
      const root = at('one', `${name}-${platform}.rootfs`);
      const { stdout, stderr } = spawnSync('chroot', [root, ...Entrypoint, '--version'], {
        encoding: 'utf8',
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      });
      assert.match(stdout, new RegExp(`^ambit-${name} \\d`), stderr);
    });
  }

  it('brings nft and ip to the agent, with every library', () => {
    const root = at('one', `node-agent-${platform}.rootfs`);
    for (const command of [
      ['/usr/sbin/nft', '--version'],
      ['/usr/sbin/ip', '-V'],
    ]) {
      const { status, stderr } = spawnSync('chroot', [root, ...command], { encoding: 'utf8' });
      assert.equal(status, 0, stderr);
    }
  });
});

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string }[];
}

interface Config {
  readonly config: { readonly Entrypoint: readonly string[]; readonly User: string };
}

function blob(name: string, digest: string): unknown {
  const path = at('one', `${name}.oci`, 'blobs', 'sha256', digest.replace('sha256:', ''));
  return JSON.parse(readFileSync(path, 'utf8'));
}

function manifestOf(name: string): Manifest {
  const top = JSON.parse(readFileSync(at('one', `${name}.oci`, 'index.json'), 'utf8')) as {
    readonly manifests: readonly { readonly digest: string }[];
  };
  const index = blob(name, top.manifests[0]?.digest ?? '') as typeof top;
  return blob(name, index.manifests[0]?.digest ?? '') as Manifest;
}

function configOf(name: string): Config {
  return blob(name, manifestOf(name).config.digest) as Config;
}
