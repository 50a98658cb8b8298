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

import { buildChange } from './change-builder.ts';
import type { ConfigSource, SourceChange } from './config-source.ts';
import { EntryMerge, type FilePlace } from './entry-merge.ts';
import { type FileEntry, fileKey, parseFile } from './file-entries.ts';
import { type FoundFile, scanFolder } from './folder-scan.ts';
import { withKept } from './kept-entries.ts';
import type { LastGood } from './last-good.ts';

/** Between an event and the scan; editors write in several steps. */
const DEBOUNCE_MS = 30;
/** A file that changed less long ago is left to settle. */
const SETTLE_MS = 60;
/** An empty file that had objects is most likely being written. */
const EMPTY_SETTLE_MS = 1_500;
const RESCAN_MS = 5_000;
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
  /** Folders that had files and are gone. */
  readonly #lost = new Set<number>();
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #stopping = new AbortController();
  #wake = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #hasLoaded = false;

  constructor(options: DirectorySourceOptions) {
    this.#options = options;
  }

  async start(onChange: (change: SourceChange) => void): Promise<void> {
    this.#watch();
    await this.#options.lastGood.restore();
    await this.#scan(onChange);
    this.#hasLoaded = true;
    this.#options.lastGood.finishLoading();
    this.#running = this.#run(onChange);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.resolve();
    for (const watcher of this.#watchers.values()) watcher.close();
    await this.#running;
    await this.#options.lastGood.flush();
  }

  async #run(onChange: (change: SourceChange) => void): Promise<void> {
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
        waitMs = (await this.#scan(onChange)) ? SETTLE_MS : RESCAN_MS;
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

  /** True if some file has not settled yet. */
  async #scan(onChange: (change: SourceChange) => void): Promise<boolean> {
    const { folders, log } = this.#options;
    const touched = new Set<ObjectKey>();
    const broken = new Map<ObjectKey, Finding[]>();
    let isUnsettled = false;
    for (const [folder, root] of folders.entries()) {
      const { files, isCut, isMissing } = await scanFolder(root);
      if (this.#isLost(folder, { root, isMissing })) continue;
      if (isCut) log.warn('a configuration folder has more files than are read', { folder: root });
      for (const [id, { place }] of this.#known) {
        if (place.folder !== folder || files.has(place.path)) continue;
        this.#known.delete(id);
        for (const key of this.#merge.setFile(place, [])) touched.add(key);
        this.#takeBack(place, touched);
      }
      for (const file of files.values()) {
        const place = { folder, path: file.path };
        if (this.#known.get(idOf(place))?.stamp === file.stamp) continue;
        if (!this.#hasSettled(place, file)) {
          isUnsettled = true;
          continue;
        }
        await this.#read(root, place, file, { touched, broken });
      }
    }
    if (touched.size + broken.size > 0) {
      const pathOf = (place: FilePlace): string => join(folders[place.folder] ?? '', place.path);
      const { lastGood } = this.#options;
      onChange(buildChange({ touched, broken, merge: this.#merge, lastGood, pathOf }));
      lastGood.save();
    }
    return isUnsettled;
  }

  /**
   * Whether a folder that had files is gone: an unmounted disk or a rename is no order to delete. What it
   * had stays until it is back; a folder that is there and empty means what it says.
   */
  #isLost(
    folder: number,
    { root, isMissing }: { readonly root: string; readonly isMissing: boolean },
  ): boolean {
    const { log } = this.#options;
    const isLost =
      isMissing && [...this.#known.values()].some(({ place }) => place.folder === folder);
    if (isLost && !this.#lost.has(folder)) {
      this.#lost.add(folder);
      log.error('a configuration folder is gone; its objects stay as they were', { folder: root });
    } else if (!isLost && this.#lost.delete(folder)) {
      log.info('a configuration folder is back', { folder: root });
    }
    return isLost;
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
