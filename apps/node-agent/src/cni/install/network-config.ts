/**
 * Our entry in the folder of network configurations: which file counts, and how it is changed.
 *
 * A container runtime takes the first file by name. Nothing else in the folder is looked at.
 */
import { lstatSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  ConflistError,
  hasEntry,
  insertEntry,
  type PluginEntry,
  removeEntry,
  wrapConf,
} from './conflist.ts';
import { FileRefusedError, readTextFile, replaceFile, syncFolder } from './safe-files.ts';

/** A single configuration that became a list is kept under a name that no runtime reads. */
const KEPT_SUFFIX = '.before-ambit';

export type ConfigState =
  | { readonly kind: 'installed'; readonly file: string; readonly isChanged: boolean }
  /** No network is configured yet. */
  | { readonly kind: 'waiting'; readonly reason: string }
  | { readonly kind: 'refused'; readonly file: string; readonly reason: string };

/** Puts the entry into the configuration that counts. Idempotent; throws only what the file system does. */
export function installEntry(confDir: string, entry: PluginEntry): ConfigState {
  const file = firstConfig(confDir);
  if (file === undefined) {
    return { kind: 'waiting', reason: `no network configuration in ${confDir} yet` };
  }
  try {
    return file.endsWith('.conflist')
      ? installInList(confDir, file, entry)
      : installInSingle(confDir, file, entry);
  } catch (error) {
    if (error instanceof ConflistError || error instanceof FileRefusedError) {
      return { kind: 'refused', file, reason: error.message };
    }
    throw error;
  }
}

/** Takes our entry out of every file; others stay as they are, byte for byte. Returns the files that changed. */
export function removeEntries(confDir: string): readonly string[] {
  const changed: string[] = [];
  for (const name of names(confDir).filter((one) => one.endsWith('.conflist'))) {
    const path = join(confDir, name);
    const isFile = lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
    const found = isFile ? readTextFile(path) : undefined;
    if (found !== undefined && hasEntry(found.text)) {
      const rest = removeEntry(found.text);
      if (!restoreSingle(path, rest)) {
        replaceFile(path, rest, found.stats);
      }
      changed.push(name);
    }
  }
  return changed;
}

function names(confDir: string): readonly string[] {
  try {
    return readdirSync(confDir).sort();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      return [];
    }
    throw error;
  }
}

/** By name, of the endings that container runtimes read. */
function firstConfig(confDir: string): string | undefined {
  return names(confDir).find((name) => /\.(?:conf|conflist|json)$/.test(name));
}

function installInList(confDir: string, file: string, entry: PluginEntry): ConfigState {
  const path = join(confDir, file);
  const found = readTextFile(path);
  if (found === undefined) {
    return { kind: 'waiting', reason: `${file} is gone` };
  }
  const text = insertEntry(found.text, entry);
  const isChanged = text !== found.text;
  if (isChanged) {
    replaceFile(path, text, found.stats);
  }
  return { kind: 'installed', file, isChanged };
}

/** The list is there before the single file goes: at no time is there none. */
function installInSingle(confDir: string, file: string, entry: PluginEntry): ConfigState {
  const path = join(confDir, file);
  const found = readTextFile(path);
  if (found === undefined) {
    return { kind: 'waiting', reason: `${file} is gone` };
  }
  const list = listName(file);
  replaceFile(join(confDir, list), insertEntry(wrapConf(found.text), entry), found.stats);
  renameSync(path, `${path}${KEPT_SUFFIX}`);
  syncFolder(confDir);
  return { kind: 'installed', file: list, isChanged: true };
}

function listName(file: string): string {
  return file.replace(/\.(?:conf|json)$/, '.conflist');
}

/** Where the list is still what we made of a single file, that file comes back. */
function restoreSingle(listPath: string, rest: string): boolean {
  for (const ending of ['.conf', '.json']) {
    const path = listPath.replace(/\.conflist$/, ending);
    const kept = readTextFile(`${path}${KEPT_SUFFIX}`);
    if (kept === undefined) {
      continue;
    }
    const isUnchanged =
      wrapConf(kept.text) === rest && lstatSync(path, { throwIfNoEntry: false }) === undefined;
    if (isUnchanged) {
      renameSync(`${path}${KEPT_SUFFIX}`, path);
      rmSync(listPath, { force: true });
      return true;
    }
    rmSync(`${path}${KEPT_SUFFIX}`, { force: true });
  }
  return false;
}
