/** Files of npm packages for either architecture: installed ones as they are, others by the lockfile's integrity. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { cacheFolder } from './image-debian.ts';
import { readTar } from './image-tar.ts';

const root = dirname(import.meta.dirname);
const run = promisify(execFile);

interface LockedPackage {
  readonly version: string;
  readonly integrity: string;
}

export function lockedPackage(name: string): LockedPackage {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, LockedPackage>>;
  };
  const locked = lock.packages[`node_modules/${name}`];
  if (locked === undefined) {
    throw new Error(`package-lock.json has no ${name}`);
  }
  return locked;
}

/** One file of a package that the lockfile names. */
export async function npmFile(name: string, path: string): Promise<Buffer> {
  const installed = join(root, 'node_modules', name);
  if (existsSync(installed)) {
    return readFileSync(join(installed, path));
  }
  const entries = await readTar(gunzipSync(await fetchPackage(name)));
  const entry = entries.find((one) => one.path === `/package/${path}`);
  if (entry?.content.kind !== 'file') {
    throw new Error(`${name} has no ${path}`);
  }
  return entry.content.bytes;
}

async function fetchPackage(name: string): Promise<Buffer> {
  const { version, integrity } = lockedPackage(name);
  const hash = Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex');
  const file = join(cacheFolder(), `${hash.slice(0, 64)}.tgz`);
  if (!existsSync(file)) {
    const folder = mkdtempSync(join(cacheFolder(), 'npm-'));
    try {
      const args = ['pack', '--silent', '--pack-destination', folder, `${name}@${version}`];
      const { stdout } = await run('npm', args, { cwd: folder });
      renameSync(join(folder, stdout.trim()), file);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const bytes = readFileSync(file);
  const found = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
  if (found !== integrity) {
    rmSync(file);
    throw new Error(
      `${name} ${version}: integrity is ${found}, package-lock.json has ${integrity}`,
    );
  }
  return bytes;
}
