/**
 * What a new agent needs to know to take over: pods, and which namespaces are enrolled.
 *
 * Every file is written beside its place and renamed, so that a reader, or a crash, sees the old or the new text.
 * A file that cannot be read is reported and left alone, never guessed.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Enrolment } from '@ambit/model';
import { holdsPods } from './enrolment.ts';
import { isRecord, type Pod, parsePod } from './pod.ts';

/** `netnsId` tells whether the path still leads to the same namespace: paths are used again. */
export interface StoredPod {
  readonly pod: Pod;
  readonly netnsId: string;
}

export interface LoadedPods {
  readonly pods: readonly StoredPod[];
  /** Files that are no pods, with the reason. */
  readonly problems: readonly string[];
}

export class PodStore {
  readonly #folder: string;
  readonly #podsFolder: string;
  readonly #isSuperseded: () => boolean;

  /** While superseded, what is on disk is another agent's: nothing is written. */
  constructor(runDir: string, isSuperseded: () => boolean = () => false) {
    this.#folder = runDir;
    this.#isSuperseded = isSuperseded;
    this.#podsFolder = join(runDir, 'pods');
  }

  /** Makes the folders. */
  open(): void {
    mkdirSync(this.#podsFolder, { recursive: true, mode: 0o700 });
  }

  loadPods(): LoadedPods {
    const pods: StoredPod[] = [];
    const problems: string[] = [];
    for (const name of readdirSync(this.#podsFolder).sort()) {
      if (!name.endsWith('.json')) {
        continue;
      }
      try {
        pods.push(parseStored(readFileSync(join(this.#podsFolder, name), 'utf8')));
      } catch (error) {
        problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return { pods, problems };
  }

  savePod(pod: Pod, netnsId: string): void {
    if (!this.#isSuperseded()) {
      replaceFile(this.#podPath(pod.uid), { ...pod, netnsId });
    }
  }

  forgetPod(uid: string): void {
    if (!this.#isSuperseded()) {
      rmSync(this.#podPath(uid), { force: true });
    }
  }

  /** Undefined when no controller was ever heard. */
  loadEnrolments(): ReadonlyMap<string, Enrolment> | undefined {
    let value: unknown;
    try {
      value = JSON.parse(readFileSync(join(this.#folder, 'enrolments.json'), 'utf8'));
    } catch {
      // Not there, or cut short by a full disk: both mean that nothing is known, and unknown never opens.
      return undefined;
    }
    if (!Array.isArray(value) || !value.every(isEnrolment)) {
      return undefined;
    }
    return new Map(value.map((enrolment) => [enrolment.namespace, enrolment]));
  }

  /** Also writes `enrolled.json`, the names of the namespaces whose pods must wait for an agent. */
  saveEnrolments(enrolments: ReadonlyMap<string, Enrolment>): void {
    if (this.#isSuperseded()) {
      return;
    }
    const all = [...enrolments.values()].sort((a, b) => (a.namespace < b.namespace ? -1 : 1));
    replaceFile(join(this.#folder, 'enrolments.json'), all);
    replaceFile(
      join(this.#folder, 'enrolled.json'),
      all.filter(holdsPods).map(({ namespace }) => namespace),
    );
  }

  #podPath(uid: string): string {
    return join(this.#podsFolder, `${uid}.json`);
  }
}

function parseStored(text: string): StoredPod {
  const value: unknown = JSON.parse(text);
  const pod = parsePod(value);
  const netnsId = isRecord(value) ? value['netnsId'] : undefined;
  if (typeof netnsId !== 'string') {
    throw new TypeError('no netnsId');
  }
  return { pod, netnsId };
}

function replaceFile(path: string, value: unknown): void {
  const temporary = `${path}.${process.pid}.new`;
  writeFileSync(temporary, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, path);
}

function isEnrolment(value: unknown): value is Enrolment {
  return (
    isRecord(value) &&
    typeof value['namespace'] === 'string' &&
    isMode(value['mode']) &&
    typeof value['dnsCapture'] === 'boolean' &&
    Array.isArray(value['exceptions']) &&
    value['exceptions'].every(
      (entry) => isRecord(entry) && typeof entry['pod'] === 'string' && isMode(entry['mode']),
    )
  );
}

function isMode(value: unknown): boolean {
  return value === 'ambient' || value === 'none';
}
