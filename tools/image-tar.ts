/** Tar files of container images: read into entries, and written so that the same entries give the same bytes. */
import { posix } from 'node:path';
import tar from 'tar-stream';

export interface FileEntry {
  /** Absolute. */
  readonly path: string;
  readonly mode: number;
  readonly content:
    | { readonly kind: 'file'; readonly bytes: Buffer }
    | { readonly kind: 'folder' }
    /** `target` as `readlink` says it. */
    | { readonly kind: 'link'; readonly target: string };
}

/** Regular files, folders and symbolic links; hard links become files. */
export async function readTar(bytes: Buffer): Promise<readonly FileEntry[]> {
  const entries = new Map<string, FileEntry>();
  const extract = tar.extract();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  extract.on('error', reject);
  extract.on('finish', resolve);
  extract.on('entry', (header, stream, next) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const path = absolute(header.name);
      const content = contentOf(header, Buffer.concat(chunks), entries);
      if (content !== undefined) {
        entries.set(path, { path, mode: (header.mode ?? 0o644) & 0o7777, content });
      }
      next();
    });
  });
  extract.end(bytes);
  await promise;
  return [...entries.values()];
}

interface Header {
  readonly type?: string | null;
  readonly linkname?: string | null;
}

function contentOf(
  { type, linkname }: Header,
  bytes: Buffer,
  entries: ReadonlyMap<string, FileEntry>,
): FileEntry['content'] | undefined {
  if (type === 'file') {
    return { kind: 'file', bytes };
  } else if (type === 'directory') {
    return { kind: 'folder' };
  } else if (type === 'symlink') {
    return { kind: 'link', target: linkname ?? '' };
  }
  return type === 'link' ? entries.get(absolute(linkname ?? ''))?.content : undefined;
}

function absolute(name: string): string {
  const path = posix.join('/', name);
  return path.length > 1 ? path.replace(/\/$/, '') : path;
}

/** Entries sorted by path with their parent folders, owned by root, all of one time (seconds since 1970). */
export async function writeTar(entries: Iterable<FileEntry>, epoch: number): Promise<Buffer> {
  const pack = tar.pack();
  const chunks: Buffer[] = [];
  pack.on('data', (chunk: Buffer) => chunks.push(chunk));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  pack.on('end', resolve);
  pack.on('error', reject);
  const mtime = new Date(epoch * 1_000);
  for (const { path, mode, content } of withFolders(entries)) {
    const common = { name: path.slice(1), mode, mtime, uid: 0, gid: 0, uname: '', gname: '' };
    if (content.kind === 'file') {
      pack.entry({ ...common, type: 'file', size: content.bytes.length }, content.bytes);
    } else if (content.kind === 'folder') {
      pack.entry({ ...common, type: 'directory' });
    } else {
      pack.entry({ ...common, type: 'symlink', linkname: content.target });
    }
  }
  pack.finalize();
  await promise;
  return Buffer.concat(chunks);
}

/** Sorted, so that a folder stands before what is in it. */
export function withFolders(entries: Iterable<FileEntry>): readonly FileEntry[] {
  const all = new Map<string, FileEntry>();
  for (const entry of entries) {
    all.set(entry.path, entry);
  }
  for (const { path } of [...all.values()]) {
    for (let folder = posix.dirname(path); folder !== '/'; folder = posix.dirname(folder)) {
      if (!all.has(folder)) {
        all.set(folder, { path: folder, mode: 0o755, content: { kind: 'folder' } });
      }
    }
  }
  return [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}
