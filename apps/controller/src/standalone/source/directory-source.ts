/**
 * Objects from folders of YAML: standalone mode, CI, labs.
 *
 * A change is taken when it has settled; a file that cannot be read keeps its last good objects and says
 * so. Watches only wake the scan, which looks at everything, so a lost event costs seconds at most.
 */
import { type FSWatcher, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Finding, MeshObject, ObjectKey } from '@ambit/api';
import type { Clock } from '@ambit/core';
import { keyOf } from '@ambit/model';
import type { Logger } from '@ambit/telemetry';
import type { ConfigSource, SourceChange } from '../../source/config-source.ts';
import { isStandIn, STOOD_IN } from '../../source/stand-in.ts';
import { buildChange } from './change-builder.ts';
import { ConfigFolders } from './config-folders.ts';
import { EntryMerge, type FilePlace } from './entry-merge.ts';
import { type FileEntry, fileKey, parseFile } from './file-entries.ts';
import type { FolderScan, FoundFile } from './folder-scan.ts';
import { withKept } from './kept-entries.ts';
import type { LastGood } from './last-good.ts';

/** Between an event and the scan; editors write in several steps. */
const DEBOUNCE_MS = 30;
/** A file that changed less long ago is left to settle. */
const SETTLE_MS = 60;
/** An empty file that had objects is most likely being written. */
const EMPTY_SETTLE_MS = 1_500;
const RESCAN_MS = 5_000;
/** Between looks for a folder that is not there at the start. */
const MISSING_MS = 1_000;
const FILE_BYTES_MAX = 8 * 1024 * 1024;

export interface DirectorySourceOptions {
  readonly folders: readonly string[];
  readonly lastGood: LastGood;
  readonly clock: Clock;
  readonly log: Logger;
}

interface KnownFile {
  readonly place: FilePlace;
  readonly stamp: string;
}

export class DirectorySource implements ConfigSource {
  readonly #options: DirectorySourceOptions;
  readonly #merge = new EntryMerge();
  readonly #known = new Map<string, KnownFile>();
  /** Keys of files that are spoken of. */
  readonly #spokenOf = new Set<ObjectKey>();
  /** Delivered before anything could be read. */
  readonly #provisional = new Set<ObjectKey>();
  /** Keys of policies that a stand-in is in force for. */
  readonly #stoodIn = new Set<ObjectKey>();
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #stopping = new AbortController();
  #wake = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #hasLoaded = false;

  constructor(options: DirectorySourceOptions) {
    this.#options = options;
  }

  async start(
    onChange: (change: SourceChange) => void,
    onProblems: (problems: readonly string[]) => void = () => undefined,
  ): Promise<void> {
    const { log, lastGood } = this.#options;
    const folders = new ConfigFolders({ folders: this.#options.folders, log, onProblems });
    this.#watch();
    await lastGood.restore();
    let scans: readonly FolderScan[] | undefined = await folders.scan();
    if (!folders.areAllThere) {
      this.#deliverEarlier(onChange);
      scans = await this.#whenThere(folders);
    }
    if (scans === undefined) return;
    this.#watch();
    await this.#take(scans, onChange);
    this.#hasLoaded = true;
    lastGood.finishLoading();
    this.#running = this.#run(folders, onChange);
  }

  /** Once all folders are there and nobody is filling them any more; nothing if it is stopped before. */
  async #whenThere(folders: ConfigFolders): Promise<readonly FolderScan[] | undefined> {
    const { signal } = this.#stopping;
    let before: string | undefined;
    for (;;) {
      await this.#options.clock.sleep(MISSING_MS, signal).catch(ignoreAbort);
      if (signal.aborted) return undefined;
      const scans = await folders.scan();
      const now = folders.areAllThere ? stampOf(scans) : undefined;
      if (now !== undefined && now === before) return scans;
      before = now;
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.resolve();
    for (const watcher of this.#watchers.values()) watcher.close();
    await this.#running;
    await this.#options.lastGood.flush();
  }

  /** What was accepted last, as long as nobody can tell what is there now; half of it would be another mesh. */
  #deliverEarlier(onChange: (change: SourceChange) => void): void {
    const upserts = this.#options.lastGood.earlier;
    for (const object of upserts) this.#provisional.add(keyOf(object));
    onChange({ upserts, removes: [], invalid: [], notes: [], unsupported: [] });
  }

  async #run(folders: ConfigFolders, onChange: (change: SourceChange) => void): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#stopping;
    let waitMs = RESCAN_MS;
    while (!signal.aborted) {
      const timer = new AbortController();
      const slept = clock.sleep(waitMs, AbortSignal.any([signal, timer.signal]));
      await Promise.race([slept, this.#wake.promise]).catch(ignoreAbort);
      timer.abort();
      await slept.catch(ignoreAbort);
      this.#wake = Promise.withResolvers<void>();
      if (signal.aborted) return;
      await clock.sleep(DEBOUNCE_MS, signal).catch(ignoreAbort);
      this.#watch();
      try {
        waitMs = (await this.#take(await folders.scan(), onChange)) ? SETTLE_MS : RESCAN_MS;
      } catch (error) {
        log.error('configuration folders cannot be read', { error });
        waitMs = RESCAN_MS;
      }
    }
  }

  /** Watches what can be watched now; a folder that comes later is found by the next scan. */
  #watch(): void {
    for (const folder of this.#options.folders) {
      if (this.#watchers.has(folder)) continue;
      try {
        const watcher = watch(folder, { recursive: true }, () => this.#wake.resolve());
        watcher.on('error', () => {
          watcher.close();
          this.#watchers.delete(folder);
        });
        this.#watchers.set(folder, watcher);
      } catch {
        // Not there yet, or the machine is out of watches: the scan every few seconds sees changes too.
      }
    }
  }

  /** True if some file has not settled yet. What a folder had that cannot be read stays. */
  async #take(
    scans: readonly FolderScan[],
    onChange: (change: SourceChange) => void,
  ): Promise<boolean> {
    const { folders } = this.#options;
    const touched = new Set<ObjectKey>(this.#provisional);
    this.#provisional.clear();
    const broken = new Map<ObjectKey, Finding[]>();
    let isUnsettled = false;
    for (const [folder, { files, problem }] of scans.entries()) {
      if (problem !== undefined) continue;
      this.#dropGone(folder, files, touched);
      for (const file of files.values()) {
        const place = { folder, path: file.path };
        if (this.#known.get(idOf(place))?.stamp === file.stamp) continue;
        if (!this.#hasSettled(place, file)) {
          isUnsettled = true;
          continue;
        }
        await this.#read(folders[folder] ?? '', place, file, { touched, broken });
      }
    }
    if (touched.size + broken.size > 0) {
      const pathOf = (place: FilePlace): string => join(folders[place.folder] ?? '', place.path);
      const { lastGood } = this.#options;
      const stoodIn = this.#stoodIn;
      const change = buildChange({
        touched,
        broken,
        merge: this.#merge,
        lastGood,
        stoodIn,
        pathOf,
      });
      this.#noteStandIns(change);
      onChange(change);
      lastGood.save();
    }
    return isUnsettled;
  }

  acceptedBefore(object: MeshObject): MeshObject | undefined {
    return this.#options.lastGood.before(keyOf(object));
  }

  unusable(key: ObjectKey, inForce: MeshObject | undefined): void {
    this.#options.lastGood.replace(key, inForce);
  }

  usable(object: MeshObject): void {
    const { lastGood } = this.#options;
    lastGood.replace(keyOf(object), object);
    lastGood.save();
  }

  #noteStandIns({ upserts, removes, invalid }: SourceChange): void {
    const before = new Set(this.#stoodIn);
    for (const key of [...removes, ...upserts.map(keyOf)]) this.#stoodIn.delete(key);
    for (const key of upserts.filter(isStandIn).map(keyOf)) this.#stoodIn.add(key);
    for (const { key, findings } of invalid) {
      if (!this.#stoodIn.has(key) || before.has(key)) continue;
      const why = findings.map(({ path, message }) => `${path} ${message}`);
      this.#options.log.warn(STOOD_IN, { key, findings: why });
    }
  }

  #dropGone(folder: number, files: ReadonlyMap<string, FoundFile>, touched: Set<ObjectKey>): void {
    for (const [id, { place }] of this.#known) {
      if (place.folder !== folder || files.has(place.path)) continue;
      this.#known.delete(id);
      for (const key of this.#merge.setFile(place, [])) touched.add(key);
      this.#takeBack(place, touched);
    }
  }

  #hasSettled(place: FilePlace, file: FoundFile): boolean {
    if (!this.#hasLoaded) return true;
    const hadObjects = this.#merge.keysOf(place).length > 0;
    const neededMs = file.bytes === 0 && hadObjects ? EMPTY_SETTLE_MS : SETTLE_MS;
    const ageMs = this.#options.clock.wallNow() - file.modifiedMs;
    // A time in the future says nothing of when the file was written.
    return ageMs >= neededMs || ageMs < -RESCAN_MS;
  }

  async #read(
    root: string,
    place: FilePlace,
    file: FoundFile,
    out: { readonly touched: Set<ObjectKey>; readonly broken: Map<ObjectKey, Finding[]> },
  ): Promise<void> {
    const text = await readText(join(root, place.path), file.bytes);
    if (text === undefined) return;
    this.#known.set(idOf(place), { place, stamp: file.stamp });
    const content =
      typeof text === 'string'
        ? parseFile(text, { relativePath: place.path })
        : { kind: 'unreadable' as const, findings: [text] };
    if (content.kind === 'entries') {
      const entries = withKept(content.entries, this.#before(place, join(root, place.path)));
      for (const key of this.#merge.setFile(place, entries)) out.touched.add(key);
      this.#takeBack(place, out.touched);
      return;
    }
    this.#options.log.warn('a configuration file cannot be read; its last good objects stay', {
      file: join(root, place.path),
      findings: content.findings.map(({ message }) => message),
    });
    const before = this.#before(place, join(root, place.path));
    for (const key of this.#merge.setFile(place, before)) out.touched.add(key);
    this.#spokenOf.add(fileKey(place.path));
    const own = this.#merge.keysOf(place).filter((key) => this.#isWinner(key, place));
    for (const key of [fileKey(place.path), ...own]) {
      const finding: Finding = {
        ...(content.findings[0] ?? { code: 'YAML_INVALID', severity: 'error', path: '' }),
        message: `file ${place.path} cannot be read: ${content.findings[0]?.message ?? ''}`,
      };
      out.broken.set(key, [...(out.broken.get(key) ?? []), finding]);
    }
  }

  /** What a file had; one that was never read since the start, what it had in an earlier process. */
  #before(place: FilePlace, path: string): readonly FileEntry[] {
    const entries = this.#merge.entriesOf(place);
    if (this.#hasLoaded || entries.length > 0) return entries;
    return this.#options.lastGood.ofFile(path).map(
      (object: MeshObject): FileEntry => ({
        key: keyOf(object),
        line: 1,
        what: { kind: 'object', object },
        findings: [],
      }),
    );
  }

  #isWinner(key: ObjectKey, place: FilePlace): boolean {
    const winner = this.#merge.winner(key)?.place;
    return winner?.folder === place.folder && winner.path === place.path;
  }

  #takeBack(place: FilePlace, touched: Set<ObjectKey>): void {
    const key = fileKey(place.path);
    if (this.#spokenOf.delete(key)) touched.add(key);
  }
}

function stampOf(scans: readonly FolderScan[]): string {
  return JSON.stringify(scans.map(({ files }) => [...files.values()]));
}

function idOf(place: FilePlace): string {
  return `${place.folder} ${place.path}`;
}

/** A finding where the file may not be read; nothing where it went away meanwhile. */
async function readText(path: string, bytes: number): Promise<string | Finding | undefined> {
  if (bytes > FILE_BYTES_MAX) {
    const message = `is longer than ${FILE_BYTES_MAX} bytes`;
    return { code: 'YAML_LIMIT', severity: 'error', path: '', message };
  }
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    const message = error instanceof Error ? error.message : String(error);
    return { code: 'YAML_INVALID', severity: 'error', path: '', message };
  }
}

function ignoreAbort(): void {
  // A sleep that was cut short is how waking and stopping work.
}
