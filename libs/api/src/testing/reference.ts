/** The tables of this package as the Markdown of `docs/objects.md`, so that the page cannot be wrong. */
import { type Dialect, INEFFECTIVE, RENAMED, WRONG } from '../dialect/table.ts';
import { supportedKinds, unsupportedKindHint, unsupportedKinds } from '../schema/kinds.ts';
import { POLICY_PLACES, UNSUPPORTED_FIELDS } from '../unsupported.ts';

/** The part of the page that is generated. */
export function formatReference(): string {
  return [
    '## Kinds\n',
    table(
      ['kind', 'served as', 'unknown fields'],
      supportedKinds().map(({ kind, group, versions, isMeshKind }) => [
        kind,
        versions.map((version) => code(group === '' ? version : `${group}/${version}`)).join(', '),
        isMeshKind ? 'refused' : 'left alone',
      ]),
    ),
    '## Kinds that have no effect\n',
    'They are accepted with a warning and keep the condition `Accepted=False`, reason `UnsupportedKind`.\n',
    table(
      ['kind', 'instead'],
      unsupportedKinds().map((name) => {
        const [group = '', kind = ''] = name.split('/');
        return [`${kind} (${group})`, unsupportedKindHint(group, kind) ?? ''];
      }),
    ),
    '## Fields that are not supported yet\n',
    'Each use is a finding `UNSUPPORTED_FIELD` at its path, and a condition of the object.\n',
    table(
      ['kind', 'field', 'effect', 'what happens'],
      unique(
        UNSUPPORTED_FIELDS.map(({ kinds, path, effect, says, when }) => [
          kinds.join(', '),
          code(shortPath(path)) + (when === undefined ? '' : ' (some values)'),
          effect === 'ignored' ? 'ignored' : 'fails closed',
          says,
        ]),
      ),
    ),
    '## Dialects: renamed\n',
    'Accepted and rewritten, with a warning `DIALECT_RENAMED`.\n',
    dialects(RENAMED),
    '## Dialects: ineffective\n',
    'Accepted; `DIALECT_INEFFECTIVE` says that it does nothing here.\n',
    dialects(INEFFECTIVE),
    '## Dialects: wrong\n',
    'Refused as `DIALECT_WRONG`; `meshctl fix` writes the right form.\n',
    dialects(WRONG),
  ].join('\n');
}

function dialects(rows: readonly Dialect[]): string {
  return table(
    ['kind', 'written', 'official form', 'why', 'seen in'],
    rows.map(({ kinds, paths, becomes, says, source }) => [
      kinds.join(', '),
      [...new Set(paths.map((path) => code(shortPath(path))))].join(', '),
      becomes,
      says,
      source,
    ]),
  );
}

/** The places of a traffic policy are one for a reader. */
function shortPath(path: string): string {
  const place = POLICY_PLACES.toSorted((a, b) => b.length - a.length).find((each) =>
    path.startsWith(`${each}.`),
  );
  return place === undefined ? path : `trafficPolicy${path.slice(place.length)}`;
}

function unique(rows: readonly (readonly string[])[]): readonly (readonly string[])[] {
  return [...new Map(rows.map((row) => [row.join('\n'), row])).values()];
}

function code(text: string): string {
  return `\`${text}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return `${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')}\n`;
}
