/**
 * The folders that a source reads: which of them can be read now, and who is told when that changes.
 *
 * A folder that is gone or cannot be read says nothing about its files; one that is there and empty means what it says.
 */
import type { Logger } from '@ambit/telemetry';

import { type FolderScan, scanFolder } from './folder-scan.ts';

export class ConfigFolders {
  readonly #folders: readonly string[];
  readonly #log: Logger;
  readonly #onProblems: (problems: readonly string[]) => void;
  /** By folder. */
  readonly #problems = new Map<string, string>();

  constructor(options: {
    readonly folders: readonly string[];
    readonly log: Logger;
    /** What is wrong with which folder, whenever that changed. */
    readonly onProblems: (problems: readonly string[]) => void;
  }) {
    this.#folders = options.folders;
    this.#log = options.log;
    this.#onProblems = options.onProblems;
  }

  get areAllThere(): boolean {
    return this.#problems.size === 0;
  }

  /** One for each folder, in order. */
  async scan(): Promise<readonly FolderScan[]> {
    const scans: FolderScan[] = [];
    let isChanged = false;
    for (const folder of this.#folders) {
      const scan = await scanFolder(folder);
      scans.push(scan);
      isChanged = this.#note(folder, scan) || isChanged;
    }
    if (isChanged) this.#onProblems([...this.#problems.values()]);
    return scans;
  }

  #note(folder: string, { problem, isCut }: FolderScan): boolean {
    if (isCut) this.#log.warn('a configuration folder has more files than are read', { folder });
    if (this.#problems.get(folder) === problem) return false;
    if (problem === undefined) {
      this.#problems.delete(folder);
      this.#log.info('a configuration folder is back', { folder });
    } else {
      this.#problems.set(folder, problem);
      const message = 'a configuration folder cannot be read; its objects stay as they were';
      this.#log.error(message, { folder, problem });
    }
    return true;
  }
}
