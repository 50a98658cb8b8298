/** One change for the store out of the keys whose files changed. */
import type { Finding, MeshObject, ObjectKey } from '@ambit/api';

import type { KeyFindings, RefusedVersion, SourceChange } from '../../source/config-source.ts';
import { saidRevision, underRevisionOf } from '../../source/revision.ts';
import { standInFor } from '../../source/stand-in.ts';
import type { EntryMerge } from './entry-merge.ts';
import type { LastGood } from './last-good.ts';

export interface ChangeInput {
  readonly touched: ReadonlySet<ObjectKey>;
  /** Keys of files that cannot be read. */
  readonly broken: ReadonlyMap<ObjectKey, readonly Finding[]>;
  readonly merge: EntryMerge;
  readonly lastGood: LastGood;
  /** Keys of policies that a stand-in is in force for. */
  readonly stoodIn: ReadonlySet<ObjectKey>;
  /** The path of a file, as `LastGood` keeps it. */
  readonly pathOf: (place: { readonly folder: number; readonly path: string }) => string;
}

/** An object that is refused and that nobody has seen since the start falls back to the last good one, or to a stand-in. */
export function buildChange(input: ChangeInput): SourceChange {
  const { touched, broken, merge, lastGood, pathOf } = input;
  const upserts: MeshObject[] = [];
  const removes: ObjectKey[] = [];
  const invalid: RefusedVersion[] = [];
  const notes: KeyFindings[] = [];
  const unsupported: { key: ObjectKey; message: string }[] = [];
  for (const key of touched) {
    const winner = merge.winner(key);
    if (winner === undefined || winner.what.kind === 'unsupported') {
      removes.push(key);
      lastGood.forget(key);
      if (winner?.what.kind === 'unsupported')
        unsupported.push({ key, message: winner.what.message });
      continue;
    }
    const path = pathOf(winner.place);
    if (winner.what.kind === 'object') {
      upserts.push(winner.what.object);
      notes.push({ key, findings: winner.findings });
      lastGood.accept(path, winner.what.object);
      continue;
    }
    const { written = {} } = winner.what;
    const earlier = lastGood.of(key);
    const kept = earlier ?? lastGood.accepted(key);
    if (kept !== undefined) {
      const now = underRevisionOf(written, kept);
      if (earlier !== undefined || now !== kept) {
        upserts.push(now);
        lastGood.accept(path, now);
      }
    } else {
      const standIn = standInFor(written);
      if (standIn !== undefined) upserts.push(standIn);
      // What stood in for a version that could refuse goes with it.
      else if (input.stoodIn.has(key)) removes.push(key);
    }
    invalid.push({ key, findings: winner.findings, ...saidRevision(written) });
  }
  for (const [key, findings] of broken) invalid.push({ key, findings });
  return { upserts, removes, invalid, notes, unsupported };
}
