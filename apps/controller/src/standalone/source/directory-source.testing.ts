/** Folders of YAML for tests of DirectorySource, and what stands after all changes that it told. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach } from 'node:test';

import type { MeshObject } from '@ambit/api';
import { systemClock } from '@ambit/core';
import { keyOf } from '@ambit/model';
import { createLogger, LogLevels } from '@ambit/telemetry';
import type { SourceChange } from '../../source/config-source.ts';
import { isStandIn } from '../../source/stand-in.ts';
import { StateFile } from '../../status/state-file.ts';
import { until } from '../../until.testing.ts';
import { DirectorySource } from './directory-source.ts';
import { type KeptObject, LastGood } from './last-good.ts';

const LOG = createLogger({
  scope: 'test',
  levels: new LogLevels('off'),
  sink: { write: () => undefined },
  wallNow: () => 0,
});

export const NAMESPACE = (name: string, label = ''): string =>
  `apiVersion: v1\nkind: Namespace\nmetadata: {name: ${name}, labels: {a: "${label}"}}\n`;
export const BROKEN = 'kind: [unclosed';
export const INVALID =
  'apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n}\nspec: {ports: no}\n';

/** A label, or what a policy does to how many. */
function wordOf(object: MeshObject): string {
  if (object.kind !== 'AuthorizationPolicy') return object.metadata.labels['a'] ?? '';
  return `${isStandIn(object) ? 'stand-in ' : ''}${object.spec.action} ${object.spec.rules.length}`;
}

/** What objects, refusals and warnings stand after every change so far. */
export class View {
  readonly objects = new Map<string, string>();
  readonly refused = new Map<string, string>();
  readonly notes = new Map<string, string>();
  readonly unsupported = new Set<string>();
  changes = 0;

  take(change: SourceChange): void {
    this.changes += 1;
    for (const key of change.removes) {
      for (const map of [this.objects, this.refused, this.notes, this.unsupported]) map.delete(key);
    }
    for (const object of change.upserts) {
      this.objects.set(keyOf(object), wordOf(object));
      this.refused.delete(keyOf(object));
    }
    for (const { key, findings } of change.invalid)
      this.refused.set(key, findings[0]?.message ?? '');
    for (const { key, findings } of change.notes) {
      this.notes.set(key, findings.map(({ code }) => code).join());
    }
    for (const { key } of change.unsupported) this.unsupported.add(key);
  }

  waitFor(test: () => boolean, what: string): Promise<void> {
    return until(
      () => Promise.resolve(test()),
      () => `${what}: ${JSON.stringify([...this.objects])} ${JSON.stringify([...this.refused])}`,
    );
  }
}

export interface Folders {
  /** Started by the test, and stopped after it. */
  readonly sources: DirectorySource[];
  at(...path: readonly string[]): string;
  /** By renaming, as editors do. */
  write(path: string, text: string): void;
  sourceOf(folders: readonly string[]): DirectorySource;
  /** Loaded. */
  start(...folders: readonly string[]): Promise<View>;
}

/** A folder of its own for each test of a `describe`. */
export function useFolders(): Folders {
  let root = '';
  const sources: DirectorySource[] = [];
  const at = (...path: readonly string[]): string => join(root, ...path);
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'ambit-source-'));
  });
  afterEach(async () => {
    for (const source of sources.splice(0)) await source.stop();
    rmSync(root, { recursive: true });
  });
  const sourceOf = (folders: readonly string[]): DirectorySource => {
    const file = new StateFile<readonly KeptObject[]>({
      path: at('accepted.json'),
      clock: systemClock,
      log: LOG,
    });
    const source = new DirectorySource({
      folders: folders.map((folder) => at(folder)),
      lastGood: new LastGood(file),
      clock: systemClock,
      log: LOG,
    });
    sources.push(source);
    return source;
  };
  return {
    sources,
    at,
    sourceOf,
    write: (path, text) => {
      const full = at(path);
      mkdirSync(dirname(full), { recursive: true });
      writeFileSync(`${full}.new`, text);
      renameSync(`${full}.new`, full);
    },
    start: async (...folders) => {
      const view = new View();
      await sourceOf(folders).start((change) => view.take(change));
      return view;
    },
  };
}
