/** The part of `docs/benchmarks.md` that says where the time goes. */
import type { ProfileResult } from './profile.ts';
import { table } from './report-table.ts';

const ROWS = 12;

export function profileSection(result: ProfileResult, file: string): string {
  const name = file.slice(file.lastIndexOf('/') + 1);
  const { startedAt, machine, note, profiles } = result;
  return [
    '## Where the time goes',
    [
      `\`bench/results/${name}\`, ${startedAt.slice(0, 16).replace('T', ' ')} UTC, commit ${machine.commit}.`,
      ...(note === undefined ? [] : [`**${note}**`]),
      'The busiest thread of each program under load, from source: shares of the time that it computed, each function without what it calls.',
      'Functions without a file are native; `(program)` is the kernel, TLS and the event loop. `stacks` in that file are collapsed stacks; the flame graphs made of them, `.svg`, lie beside it.',
    ].join('  \n'),
    ...profiles.map(({ title, busyMs, self }) =>
      [
        `**${title}** (${busyMs} ms computed)`,
        table(
          ['', '%'],
          self.slice(0, ROWS).map(([what, percent]) => [what, percent.toFixed(1)]),
        ),
      ].join('\n\n'),
    ),
  ].join('\n\n');
}
