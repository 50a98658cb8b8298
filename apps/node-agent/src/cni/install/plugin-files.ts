/**
 * The plugin's files on the host: `BIN/ambit-cni`, which starts the Node and the plugin of `BIN/.ambit-cni/VERSION/`.
 *
 * Rule: a version's folder is complete before anything points to it, and is left alone as long as something does. So
 * an agent that is being replaced and its successor never take away what the other one needs.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { isRecord } from '../plugin/cni-protocol.ts';
import { PLUGIN_TYPE } from './conflist.ts';
import { buildLauncher, type LauncherArch } from './launcher.ts';
import { FileRefusedError, replaceFile, syncFolder } from './safe-files.ts';

const FOLDER = '.ambit-cni';
const PLUGIN_FILE = 'cni.cjs';
const PIECE_BYTES = 1024 * 1024;

/** What goes to the host, as paths here. */
export interface PluginPayload {
  readonly plugin: string;
  readonly node: string;
  /** The dynamic loader that Node is started by; without one Node is started as it is. */
  readonly loader?: string;
  readonly libraries: readonly string[];
}

export interface PluginPlace {
  /** As it is here. */
  readonly binDir: string;
  /** The same folder as the host calls it. */
  readonly hostBinDir: string;
}

/** Reads `cni-runtime.json` beside the plugin; without it, this process's own Node. Throws FileRefusedError. */
export function findPayload(folder: string, execPath: string): PluginPayload {
  const plugin = join(folder, PLUGIN_FILE);
  if (lstatSync(plugin, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new FileRefusedError(`there is no plugin at "${plugin}"`);
  }
  const path = join(folder, 'cni-runtime.json');
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) {
    return { plugin, node: execPath, libraries: [] };
  }
  const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
  const { node, loader, libraries } = isRecord(value) ? value : {};
  const isList = Array.isArray(libraries) && libraries.every((name) => typeof name === 'string');
  if (
    typeof node !== 'string' ||
    !isList ||
    !(loader === undefined || typeof loader === 'string')
  ) {
    throw new FileRefusedError(`"${path}" is not {node, loader, libraries}`);
  }
  return { plugin, node, libraries, ...(loader === undefined ? {} : { loader }) };
}

/** Idempotent. Returns the version that the entry starts now. */
export function installPlugin(
  payload: PluginPayload,
  place: PluginPlace,
  arch: LauncherArch,
): string {
  const files = [payload.plugin, payload.node, ...payload.libraries];
  if (payload.loader !== undefined && !files.includes(payload.loader)) {
    files.push(payload.loader);
  }
  const version = versionOf(files);
  const root = join(place.binDir, FOLDER);
  openFolder(root);
  const folder = join(root, version);
  if (lstatSync(folder, { throwIfNoEntry: false }) === undefined) {
    copyAll(files, folder, root);
  }
  const onHost = (path: string): string => join(place.hostBinDir, FOLDER, version, basename(path));
  const program = [onHost(payload.node), onHost(payload.plugin)];
  const argv =
    payload.loader === undefined
      ? program
      : [
          onHost(payload.loader),
          '--library-path',
          join(place.hostBinDir, FOLDER, version),
          ...program,
        ];
  const launcher = buildLauncher(arch, argv);
  const entry = join(place.binDir, PLUGIN_TYPE);
  if (!isSame(entry, launcher)) {
    replaceFile(entry, launcher, { mode: 0o755 });
  }
  return version;
}

/** The version that the entry starts; undefined if there is none. */
export function installedVersion(binDir: string): string | undefined {
  const text = readEntry(binDir);
  return text?.match(/\/\.ambit-cni\/([0-9a-f]{16})\//)?.[1];
}

/** Folders that no entry starts. To be called when plugins of before have ended. */
export function removeOldVersions(binDir: string): readonly string[] {
  const root = join(binDir, FOLDER);
  const current = installedVersion(binDir);
  if (current === undefined || lstatSync(root, { throwIfNoEntry: false })?.isDirectory() !== true) {
    return [];
  }
  const old = readdirSync(root).filter((name) => name !== current);
  for (const name of old) {
    rmSync(join(root, name), { recursive: true, force: true });
  }
  return old;
}

/** All of it. Idempotent. */
export function removePlugin(binDir: string): void {
  rmSync(join(binDir, PLUGIN_TYPE), { force: true });
  rmSync(join(binDir, FOLDER), { recursive: true, force: true });
}

function readEntry(binDir: string): string | undefined {
  const path = join(binDir, PLUGIN_TYPE);
  const isFile = lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
  return isFile ? readFileSync(path, 'latin1') : undefined;
}

function isSame(path: string, content: Uint8Array): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false });
  return (
    found?.isFile() === true && (found.mode & 0o111) !== 0 && readFileSync(path).equals(content)
  );
}

function openFolder(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found !== undefined && !found.isDirectory()) {
    throw new FileRefusedError(`"${path}" is not a folder`);
  }
  mkdirSync(path, { recursive: true, mode: 0o755 });
}

/** Of the content: the same files are the same version, whoever installs them. */
function versionOf(files: readonly string[]): string {
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
  for (const path of files) {
    hash.update(`${basename(path)}\0`);
    // Node is 150 MB, which an agent would hold until it has a reason to collect garbage: perhaps for hours.
    const fd = openSync(path, 'r');
    try {
      for (let count = -1; count !== 0; ) {
        count = readSync(fd, piece, 0, PIECE_BYTES, null);
        hash.update(piece.subarray(0, count));
      }
    } finally {
      closeSync(fd);
    }
  }
  return hash.digest('hex').slice(0, 16);
}

function copyAll(files: readonly string[], folder: string, root: string): void {
  const temporary = `${folder}.${process.pid}.new`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { mode: 0o755 });
  for (const path of files) {
    const target = join(temporary, basename(path));
    copyFileSync(path, target);
    chmodSync(target, 0o755);
    const fd = openSync(target, 'r');
    fsyncSync(fd);
    closeSync(fd);
  }
  syncFolder(temporary);
  renameSync(temporary, folder);
  syncFolder(root);
}
