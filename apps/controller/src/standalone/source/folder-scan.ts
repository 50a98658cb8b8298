/**
 * What YAML files a folder holds, with a stamp for each that changes whenever the file does.
 *
 * Hidden files and folders, `node_modules` and links out of reach are passed over; depth and number are
 * bounded, and what is over is reported rather than dropped in silence.
 */
import { lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export const FILES_MAX = 20_000;
const DEPTH_MAX = 8;
const NONE: FolderScan['files'] = new Map();
const YAML = /\.ya?ml$/;

export interface FoundFile {
  readonly path: string;
  /** Size, times and inode. */
  readonly stamp: string;
  readonly modifiedMs: number;
  readonly bytes: number;
}

export interface FolderScan {
  readonly files: ReadonlyMap<string, FoundFile>;
  /** There was more than may be read. */
  readonly isCut: boolean;
  /** Why nothing is known of its files: the folder, or one in it, is not there or cannot be read. */
  readonly problem?: string;
}

export async function scanFolder(folder: string): Promise<FolderScan> {
  const files = new Map<string, FoundFile>();
  let isCut = false;
  const visit = async (relative: string, depth: number): Promise<void> => {
    for (const name of await namesIn(join(folder, relative))) {
      if (name.startsWith('.') || name === 'node_modules') continue;
      const path = relative === '' ? name : `${relative}/${name}`;
      const info = await infoOf(join(folder, path));
      if (info === undefined) continue;
      if (info.isDirectory()) {
        if (depth < DEPTH_MAX) await visit(path, depth + 1);
        else isCut = true;
      } else if (info.isFile() && YAML.test(name)) {
        if (files.size >= FILES_MAX) {
          isCut = true;
          return;
        }
        const { mtimeNs, ctimeNs, size, ino, mtimeMs } = info;
        const stamp = `${mtimeNs}/${ctimeNs}/${size}/${ino}`;
        files.set(path, { path, stamp, modifiedMs: Number(mtimeMs), bytes: Number(size) });
      }
    }
  };
  try {
    await visit('', 0);
    // Asked last: it may have gone while it was read.
    const isFolder = (await stat(folder)).isDirectory();
    return isFolder ? { files, isCut } : { files: NONE, isCut, problem: `${folder} is no folder` };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const problem = isMissing(error)
      ? `folder ${folder} is not there`
      : `folder ${folder} cannot be read: ${why}`;
    return { files: NONE, isCut, problem };
  }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Files are followed through links, folders are not: a link upwards would never end. */
async function infoOf(path: string): Promise<Awaited<ReturnType<typeof statBig>> | undefined> {
  try {
    const own = await lstat(path, { bigint: true });
    if (!own.isSymbolicLink()) return own;
    const target = await statBig(path);
    return target.isDirectory() ? undefined : target;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function statBig(path: string): Promise<import('node:fs').BigIntStats> {
  return stat(path, { bigint: true });
}

function isMissing(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'ENOENT' || error.code === 'ENOTDIR')
  );
}
