/**
 * What is in each image, layer by layer: Node with the shared libraries that it needs, the host tools of the agent with
 * theirs, and the bundle. A library is there because a program's ELF header asks for it, directly or not.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { type Arch, debianFiles, type PackageSet } from './image-debian.ts';
import { readElf } from './image-elf.ts';
import { lockedPackage, npmFile } from './image-npm.ts';
import type { FileEntry } from './image-tar.ts';

export type ImageName = 'controller' | 'node-agent' | 'waypoint';

export interface Layer {
  /** For the image's history. */
  readonly comment: string;
  readonly files: readonly FileEntry[];
}

const TRIPLE: Readonly<Record<Arch, string>> = {
  x64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
};
export const NODE_PATH = '/usr/bin/node';
export const APP_FOLDER = '/app';
/** The user of programs that need no privilege; the number is what distroless images use. */
export const NOBODY = 65_532;

const PASSWD = `root:x:0:0:root:/:/sbin/nologin\nnonroot:x:${NOBODY}:${NOBODY}:nonroot:/:/sbin/nologin\n`;
const GROUP = `root:x:0:\nnonroot:x:${NOBODY}:\n`;
/** Path in the image → path in Debian's package. */
const AGENT_TOOLS = { '/usr/sbin/nft': '/usr/sbin/nft', '/usr/sbin/ip': '/bin/ip' } as const;

/** Files of packages, and what has been taken from them. */
class PackageFiles {
  readonly #files: ReadonlyMap<string, FileEntry>;
  readonly #folder: string;

  constructor(files: ReadonlyMap<string, FileEntry>, arch: Arch) {
    this.#files = files;
    this.#folder = `/lib/${TRIPLE[arch]}`;
  }

  /** Contents of a file, through symbolic links. */
  read(path: string): Buffer | undefined {
    for (let at = path, hops = 0; hops < 8; hops += 1) {
      const content = this.#files.get(this.#throughFolders(at))?.content;
      if (content?.kind !== 'link') {
        return content?.kind === 'file' ? content.bytes : undefined;
      }
      at = posix.resolve(posix.dirname(at), content.target);
    }
    return undefined;
  }

  /** With folders that are links, as `/usr/share/doc/PACKAGE` often is, replaced. */
  #throughFolders(path: string): string {
    const folder = posix.dirname(path);
    const content = this.#files.get(folder)?.content;
    return content?.kind === 'link'
      ? posix.join(posix.resolve(posix.dirname(folder), content.target), posix.basename(path))
      : path;
  }

  /** Libraries that these ELF files need, and what those need, by name. */
  librariesOf(programs: Iterable<Buffer>): Map<string, FileEntry> {
    const found = new Map<string, FileEntry>();
    const queue = [...programs].flatMap((bytes) => readElf(bytes)?.needed ?? []);
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      if (found.has(name)) {
        continue;
      }
      const bytes =
        this.read(`${this.#folder}/${name}`) ?? this.read(`/usr${this.#folder}/${name}`);
      if (bytes === undefined) {
        throw new Error(`no package of image-packages.json has the library "${name}"`);
      }
      found.set(name, file(`${this.#folder}/${name}`, bytes, 0o755));
      queue.push(...(readElf(bytes)?.needed ?? []));
    }
    return found;
  }

  /** Debian's copyright file of each package, as its licences ask for. */
  copyrights(): FileEntry[] {
    const folders = [...this.#files.keys()].filter((path) =>
      /^\/usr\/share\/doc\/[^/]+$/.test(path),
    );
    return folders.flatMap((folder) => {
      const bytes = this.read(`${folder}/copyright`);
      return bytes === undefined ? [] : [file(`${folder}/copyright`, bytes)];
    });
  }
}

function file(path: string, content: Buffer | string, mode = 0o644): FileEntry {
  return { path, mode, content: { kind: 'file', bytes: Buffer.from(content) } };
}

async function packageFiles(arch: Arch, sets: readonly PackageSet[]): Promise<PackageFiles> {
  const files = new Map<string, FileEntry>();
  for (const set of sets) {
    for (const [path, entry] of await debianFiles(set, arch)) {
      files.set(path, entry);
    }
  }
  return new PackageFiles(files, arch);
}

/** Node, its libraries and loader. The same for every image, so that a node stores it once. */
export async function runtimeLayer(arch: Arch): Promise<Layer> {
  const name = `node-linux-${arch}`;
  const [node, packages] = [await npmFile(name, 'bin/node'), await packageFiles(arch, ['base'])];
  return {
    comment: `Node ${lockedPackage(name).version} and its libraries`,
    files: [
      file(NODE_PATH, node, 0o755),
      file('/usr/share/doc/node/LICENSE', await npmFile(name, 'LICENSE')),
      ...packages.librariesOf([node]).values(),
      loaderLink(node, arch),
      ...packages.copyrights(),
      file('/etc/passwd', PASSWD),
      file('/etc/group', GROUP),
      { path: '/tmp', mode: 0o1777, content: { kind: 'folder' } },
    ],
  };
}

/** Programs name their loader by a path outside of the folder of libraries. */
function loaderLink(program: Buffer, arch: Arch): FileEntry {
  const interpreter = readElf(program)?.interpreter;
  if (interpreter === undefined) {
    throw new Error('Node names no loader');
  }
  const target = `/lib/${TRIPLE[arch]}/${posix.basename(interpreter)}`;
  return { path: interpreter, mode: 0o777, content: { kind: 'link', target } };
}

/** `nft` and `ip`, and those of their libraries that Node has not brought. */
export async function toolsLayer(arch: Arch): Promise<Layer> {
  const packages = await packageFiles(arch, ['base', 'agent']);
  const base = await packageFiles(arch, ['base']);
  const programs = Object.entries(AGENT_TOOLS).map(([path, from]) => {
    const bytes = packages.read(from);
    if (bytes === undefined) {
      throw new Error(`no package of image-packages.json has "${from}"`);
    }
    return file(path, bytes, 0o755);
  });
  const libraries = packages.librariesOf(programs.map(bytesOf));
  const runtime = base.librariesOf([await npmFile(`node-linux-${arch}`, 'bin/node')]);
  return {
    comment: 'nft and ip',
    files: [
      ...programs,
      ...[...libraries].filter(([name]) => !runtime.has(name)).map(([, entry]) => entry),
      ...packages.copyrights(),
    ],
  };
}

function bytesOf({ content }: FileEntry): Buffer {
  return content.kind === 'file' ? content.bytes : Buffer.alloc(0);
}

const KOFFI = /^koffi-linux-(.*)\.node$/;

/** The bundle, but its source maps and the native file of the other architecture. */
export async function appLayer(arch: Arch, bundle: string, runtime: Layer): Promise<Layer> {
  const names = readdirSync(bundle).filter((name) => !name.endsWith('.map') && !KOFFI.test(name));
  const files = names.map((name) =>
    file(`${APP_FOLDER}/${name}`, readFileSync(join(bundle, name))),
  );
  if (readdirSync(bundle).some((name) => KOFFI.test(name))) {
    const native = await npmFile(`@koromix/koffi-linux-${arch}`, `linux_${arch}/koffi.node`);
    files.push(file(`${APP_FOLDER}/koffi-linux-${arch}.node`, native));
  }
  if (names.includes('cni.cjs')) {
    files.push(file(`${APP_FOLDER}/cni-runtime.json`, cniRuntime(runtime)));
  }
  return { comment: 'the program', files };
}

/** What the CNI plugin takes to the host: `{node, loader, libraries}`, paths in the image. */
function cniRuntime({ files }: Layer): string {
  const libraries = files
    .map(({ path }) => path)
    .filter((path) => /^\/lib\/[^/]+-linux-gnu\/.*\.so/.test(path))
    .sort();
  const loader = libraries.find((path) => posix.basename(path).startsWith('ld-linux'));
  return `${JSON.stringify({ node: NODE_PATH, loader, libraries }, undefined, 2)}\n`;
}
