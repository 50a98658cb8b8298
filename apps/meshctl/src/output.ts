/** How results look: tables for people, JSON and YAML for programs. Results go to standard output only. */
import { stringify } from 'yaml';

export const OUTPUT_FORMATS = ['table', 'json', 'yaml'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** Longer cells are cut; the other formats have all of it. */
const CELL_CHARS_MAX = 100;

export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

/** Remarks, which are no output of the command. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Data as asked for; `table` is made only when it is shown. */
export function printAs(format: OutputFormat, data: unknown, toTable: () => string): void {
  switch (format) {
    case 'json':
      print(JSON.stringify(data, null, 2));
      return;
    case 'yaml':
      print(stringify(data, { lineWidth: 0 }));
      return;
    case 'table':
      print(toTable());
  }
}

/** Columns as wide as their widest cell, two blanks between them. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows].map((cells) => cells.map(toCell));
  const widths = head.map((_, column) =>
    Math.max(...lines.map((cells) => cells[column]?.length ?? 0)),
  );
  return lines
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** `45s`, `12m`, `3h`, `2d`; of a time to come the same without sign. */
export function formatSpan(ms: number): string {
  const seconds = Math.floor(Math.abs(ms) / 1000);
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`;
}

/** Control characters of others' text must not reach the terminal. */
function toCell(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed.
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ') || '-';
  return clean.length > CELL_CHARS_MAX ? `${clean.slice(0, CELL_CHARS_MAX - 1)}…` : clean;
}
