/**
 * Removals that no agent heard: one file each in `RUN/cni-removed`, for the next agent to pick up.
 *
 * Bounded: beyond it nothing is written, and the agent finds by itself that the namespace is gone.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const REMOVALS_MAX = 1_024;
const FOLDER = 'cni-removed';
const FILE_CHARS_MAX = 4_096;

export interface Removal {
  readonly containerId: string;
  readonly ifname: string;
}

/** False when it could not be kept. Never throws: the pod goes, whatever happens here. */
export function journalRemoval(runDir: string, removal: Removal): boolean {
  const { containerId, ifname } = removal;
  try {
    const folder = join(runDir, FOLDER);
    makeFolder(folder);
    if (readdirSync(folder).length >= REMOVALS_MAX) {
      return false;
    }
    const path = join(folder, `${containerId}.${ifname}.json`);
    const temporary = `${path}.${process.pid}.new`;
    writeFileSync(temporary, JSON.stringify({ containerId, ifname }), { mode: 0o600 });
    renameSync(temporary, path);
    return true;
  } catch {
    return false;
  }
}

/** Not its parents: where the agent's folder is gone, the agent was uninstalled and nobody would ever read this. */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) {
      throw error;
    }
  }
}

/** Hands each removal on and forgets it; what cannot be read is forgotten too. */
export async function replayRemovals(
  runDir: string,
  remove: (removal: Removal) => Promise<void>,
): Promise<number> {
  const folder = join(runDir, FOLDER);
  let count = 0;
  for (const name of list(folder)) {
    const path = join(folder, name);
    const removal = name.endsWith('.json') ? readRemoval(path) : undefined;
    if (removal !== undefined) {
      await remove(removal);
      count += 1;
    }
    rmSync(path, { force: true, recursive: true });
  }
  return count;
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder).slice(0, 2 * REMOVALS_MAX);
  } catch {
    // None was ever written.
    return [];
  }
}

function readRemoval(path: string): Removal | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8').slice(0, FILE_CHARS_MAX));
    return typeof value === 'object' &&
      value !== null &&
      'containerId' in value &&
      'ifname' in value &&
      typeof value.containerId === 'string' &&
      typeof value.ifname === 'string'
      ? { containerId: value.containerId, ifname: value.ifname }
      : undefined;
  } catch {
    return undefined;
  }
}
