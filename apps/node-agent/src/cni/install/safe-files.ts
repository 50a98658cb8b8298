/**
 * Files in folders that belong to others: replaced as a whole, with their owner and mode, and never through a link.
 */
import {
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

const TEXT_BYTES_MAX = 1024 * 1024;

export class FileRefusedError extends Error {
  override readonly name = 'FileRefusedError';
}

export interface TextFile {
  readonly text: string;
  readonly stats: Stats;
}

/** Undefined when it is not there. Throws FileRefusedError for a link, a folder, or what is too large. */
export function readTextFile(path: string): TextFile | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) {
    return undefined;
  }
  if (!found.isFile()) {
    throw new FileRefusedError(`"${path}" is ${found.isSymbolicLink() ? 'a link' : 'no file'}`);
  }
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      return undefined;
    }
    throw error;
  }
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile() || stats.size > TEXT_BYTES_MAX) {
      throw new FileRefusedError(`"${path}" is larger than ${TEXT_BYTES_MAX} bytes, or no file`);
    }
    return { text: readFileSync(fd, 'utf8'), stats };
  } finally {
    closeSync(fd);
  }
}

/** Mode and owner of a file that is to be made. */
export interface FileOwner {
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
}

/** The old file or the new one is there, whatever happens meanwhile. The folder is not followed out of by a link. */
export function replaceFile(path: string, content: string | Uint8Array, owner: FileOwner): void {
  // A name that no container runtime takes for a configuration.
  const temporary = join(dirname(path), `.${basename(path)}.ambit-${process.pid}`);
  rmSync(temporary, { force: true });
  const fd = openSync(temporary, 'wx', 0o600);
  try {
    writeFileSync(fd, content);
    fchmodSync(fd, owner.mode & 0o7777);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  if (owner.uid !== undefined && owner.gid !== undefined) {
    chownSync(temporary, owner.uid, owner.gid);
  }
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

export function syncFolder(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
