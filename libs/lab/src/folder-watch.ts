/**
 * Says when something in a folder changed. inotify is quick but can miss (network file systems, a folder that is
 * replaced), so a slow comparison of names, sizes and times runs beside it.
 */
import { type FSWatcher, statSync, watch } from 'node:fs';
import type { Clock } from '@ambit/core';
import { manifestFiles } from './manifests.ts';
import { pause } from './pause.ts';

const COMPARE_MS = 2_000;

export class FolderWatch {
  readonly #sources: readonly string[];
  readonly #onChange: () => void;
  readonly #closed = new AbortController();
  readonly #watchers: FSWatcher[] = [];

  constructor(sources: readonly string[], onChange: () => void) {
    this.#sources = sources;
    this.#onChange = onChange;
  }

  start(clock: Clock): void {
    for (const source of this.#sources) {
      try {
        const watcher = watch(source, { recursive: true }, () => this.#onChange());
        watcher.on('error', () => watcher.close()); // the comparison below goes on
        this.#watchers.push(watcher);
      } catch {
        // Out of inotify watches, or not there yet: the comparison below finds changes.
      }
    }
    void this.#compare(clock);
  }

  close(): void {
    this.#closed.abort();
    for (const watcher of this.#watchers) {
      watcher.close();
    }
  }

  async #compare(clock: Clock): Promise<void> {
    let last = this.#fingerprint();
    while (await pause(clock, COMPARE_MS, this.#closed.signal)) {
      const now = this.#fingerprint();
      if (now !== last) {
        last = now;
        this.#onChange();
      }
    }
  }

  #fingerprint(): string {
    const lines = this.#sources.flatMap(manifestFiles).map((file) => {
      try {
        const { size, mtimeMs, ino } = statSync(file);
        return `${file} ${ino} ${size} ${mtimeMs}`;
      } catch {
        // Removed in between, which is a change as well.
        return `${file} gone`;
      }
    });
    return lines.join('\n');
  }
}
