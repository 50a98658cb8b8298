/**
 * Files of pinned Debian packages: what a container image needs beside Node.
 *
 * `image-packages.json` names every package with its version and SHA-256; nothing else is unpacked. apt-get fetches them
 * with a state of its own, so neither the machine's sources nor its architecture matter.
 */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type FileEntry, readTar } from './image-tar.ts';

export type Arch = 'x64' | 'arm64';
/** With the contents that are for the proxies' host tools, `agent`, or for every program, `base`. */
export type PackageSet = 'base' | 'agent';

interface PinnedPackage {
  readonly name: string;
  readonly version: string;
  readonly sha256: Readonly<Record<Arch, string>>;
}

interface PackageLock {
  readonly suite: string;
  readonly sets: Readonly<Record<PackageSet, readonly PinnedPackage[]>>;
}

const LOCK_FILE = join(import.meta.dirname, 'image-packages.json');
const DEBIAN_ARCH: Readonly<Record<Arch, string>> = { x64: 'amd64', arm64: 'arm64' };
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const SECURITY = 'http://deb.debian.org/debian-security';
const run = promisify(execFile);

/** `${AMBIT_CACHE:-~/.cache/ambit}`: what was fetched, by its digest. */
export function cacheFolder(): string {
  const folder = process.env['AMBIT_CACHE'] ?? join(homedir(), '.cache', 'ambit');
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** All files of the set's packages, by absolute path. */
export async function debianFiles(
  set: PackageSet,
  arch: Arch,
): Promise<ReadonlyMap<string, FileEntry>> {
  const lock = readLock();
  const files = new Map<string, FileEntry>();
  const archives = await fetchAll(lock.sets[set], { arch, suite: lock.suite });
  for (const archive of archives) {
    for (const entry of await readTar(await unpack(archive))) {
      files.set(entry.path, entry);
    }
  }
  return files;
}

function readLock(): PackageLock {
  return JSON.parse(readFileSync(LOCK_FILE, 'utf8')) as PackageLock;
}

interface Where {
  readonly arch: Arch;
  readonly suite: string;
}

interface WantedPackage {
  readonly pinned: PinnedPackage;
  readonly sha256: string;
  /** Where it is kept. */
  readonly file: string;
}

async function fetchAll(packages: readonly PinnedPackage[], where: Where): Promise<Buffer[]> {
  const wanted = packages.map(
    (pinned): WantedPackage => ({
      pinned,
      sha256: pinned.sha256[where.arch],
      file: join(cacheFolder(), `${pinned.sha256[where.arch]}.deb`),
    }),
  );
  const missing = wanted.filter(({ file }) => !existsSync(file));
  if (missing.length > 0) {
    const apt = await Apt.open(where);
    await apt.download(missing);
  }
  return wanted.map(({ file, sha256, pinned }) => verified(file, sha256, pinned));
}

function verified(file: string, sha256: string, { name, version }: PinnedPackage): Buffer {
  const bytes = readFileSync(file);
  const found = createHash('sha256').update(bytes).digest('hex');
  if (found !== sha256) {
    throw new Error(`${name} ${version}: sha256 is ${found}, image-packages.json has ${sha256}`);
  }
  return bytes;
}

/** apt-get with sources, lists and architecture of its own. */
export class Apt {
  readonly #folder: string;
  readonly #options: readonly string[];

  private constructor(folder: string, options: readonly string[]) {
    this.#folder = folder;
    this.#options = options;
  }

  /** Fetches the package lists. `AMBIT_DEBIAN_MIRROR` replaces deb.debian.org, for instance by a snapshot. */
  static async open({ arch, suite }: Where): Promise<Apt> {
    const folder = join(cacheFolder(), `apt-${suite}-${arch}`);
    mkdirSync(join(folder, 'state', 'lists', 'partial'), { recursive: true });
    mkdirSync(join(folder, 'cache', 'archives', 'partial'), { recursive: true });
    const mirror = process.env['AMBIT_DEBIAN_MIRROR'] ?? 'http://deb.debian.org/debian';
    const sources = join(folder, 'sources.list');
    writeFileSync(
      sources,
      `deb [signed-by=${KEYRING}] ${mirror} ${suite} main\n` +
        `deb [signed-by=${KEYRING}] ${SECURITY} ${suite}-security main\n`,
    );
    writeFileSync(join(folder, 'status'), '');
    const options = Object.entries({
      'Dir::Etc::sourcelist': sources,
      'Dir::Etc::sourceparts': '-',
      'Dir::State': join(folder, 'state'),
      'Dir::State::status': join(folder, 'status'),
      'Dir::Cache': join(folder, 'cache'),
      'APT::Architecture': DEBIAN_ARCH[arch],
      'APT::Architectures': DEBIAN_ARCH[arch],
      'APT::Sandbox::User': 'root',
      'Acquire::Languages': 'none',
    }).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    const apt = new Apt(folder, options);
    await run('apt-get', [...options, '-qq', 'update']);
    return apt;
  }

  /** To each one's `file`, if it is what was pinned. */
  async download(wanted: readonly WantedPackage[]): Promise<void> {
    const packages = wanted.map(({ pinned: { name, version } }) => `${name}=${version}`);
    const { stdout } = await run('apt-get', [
      ...this.#options,
      'download',
      '--print-uris',
      ...packages,
    ]).catch((error: unknown) => {
      const fix = 'set AMBIT_DEBIAN_MIRROR to a snapshot that has it, or run `image.ts lock`';
      throw new Error(`Debian does not serve a pinned package: ${fix}`, { cause: error });
    });
    await run('apt-get', [...this.#options, '-qq', 'download', ...packages], {
      cwd: this.#folder,
    });
    const names = [...stdout.matchAll(/^'[^']+' (\S+\.deb) /gm)].map((match) => match[1] ?? '');
    for (const { pinned, sha256, file } of wanted) {
      const downloaded = names.find((name) => name.startsWith(`${pinned.name}_`));
      if (downloaded === undefined) {
        throw new Error(`apt-get has not downloaded ${pinned.name} ${pinned.version}`);
      }
      verified(join(this.#folder, downloaded), sha256, pinned);
      renameSync(join(this.#folder, downloaded), file);
    }
  }

  /** Version and SHA-256 of the newest. */
  async newest(name: string): Promise<{ readonly version: string; readonly sha256: string }> {
    const args = [...this.#options, 'show', '--no-all-versions', name];
    const { stdout } = await run('apt-cache', args);
    const field = (key: string): string =>
      new RegExp(`^${key}: (.*)$`, 'm').exec(stdout)?.[1] ?? '';
    return { version: field('Version'), sha256: field('SHA256') };
  }
}

/** Rewrites `image-packages.json` with the newest version of each of its packages. */
export async function lockNewest(): Promise<void> {
  const { suite, sets } = readLock();
  const [x64, arm64] = [
    await Apt.open({ arch: 'x64', suite }),
    await Apt.open({ arch: 'arm64', suite }),
  ];
  const pin = async ({ name }: PinnedPackage): Promise<PinnedPackage> => {
    const [onX64, onArm64] = [await x64.newest(name), await arm64.newest(name)];
    if (onX64.version !== onArm64.version) {
      throw new Error(`${name} is ${onX64.version} for amd64 and ${onArm64.version} for arm64`);
    }
    return { name, version: onX64.version, sha256: { x64: onX64.sha256, arm64: onArm64.sha256 } };
  };
  const pinned: Partial<Record<PackageSet, PinnedPackage[]>> = {};
  for (const [set, packages] of Object.entries(sets)) {
    pinned[set as PackageSet] = [];
    for (const one of packages) {
      pinned[set as PackageSet]?.push(await pin(one));
    }
  }
  writeFileSync(LOCK_FILE, `${JSON.stringify({ suite, sets: pinned }, undefined, 2)}\n`);
}

const AR_MAGIC = '!<arch>\n';
const AR_HEADER_BYTES = 60;

/** The tar of a package's files. A package is an `ar` archive whose member `data.tar.xz` it is. */
async function unpack(deb: Buffer): Promise<Buffer> {
  if (deb.toString('latin1', 0, AR_MAGIC.length) !== AR_MAGIC) {
    throw new Error('not a Debian package');
  }
  for (let at = AR_MAGIC.length; at + AR_HEADER_BYTES <= deb.length; ) {
    const name = deb.toString('latin1', at, at + 16).trim();
    const size = Number(deb.toString('latin1', at + 48, at + 58).trim());
    const start = at + AR_HEADER_BYTES;
    if (name.startsWith('data.tar.xz')) {
      return await xz(deb.subarray(start, start + size));
    }
    // Members start at even offsets.
    at = start + size + (size % 2);
  }
  throw new Error('no data.tar.xz in a Debian package');
}

async function xz(bytes: Buffer): Promise<Buffer> {
  const child = spawn('xz', ['--decompress', '--stdout'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.on('error', reject);
  child.on('close', (code) =>
    code === 0 ? resolve() : reject(new Error(`xz ended with ${code}`)),
  );
  child.stdin.end(bytes);
  await promise;
  return Buffer.concat(chunks);
}
