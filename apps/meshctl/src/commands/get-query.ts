/** What every list of `meshctl get` is asked, and how it filters and fails. */
import type { AdminClient } from '../admin-client.ts';
import { UserError } from '../errors.ts';
import { note, type OutputFormat, printAs, table } from '../output.ts';

export interface GetQuery {
  readonly client: AdminClient;
  readonly output: OutputFormat;
  readonly name?: string;
  /** Absent: all. */
  readonly namespace?: string;
}

export interface GetView<T> {
  /** In the plural, for messages. */
  readonly what: string;
  readonly items: readonly T[];
  readonly nameOf: (item: T) => string;
  /** Absent where the things have no namespace. */
  readonly namespaceOf?: (item: T) => string;
  readonly columns: readonly string[];
  readonly rowOf: (item: T) => readonly string[];
  /** What `json` and `yaml` show of one. Default: the item. */
  readonly dataOf?: (item: T) => unknown;
}

/** Throws a UserError when a name was asked for and is not there. */
export function showView<T>(view: GetView<T>, { name, namespace, output }: GetQuery): void {
  const { what, nameOf, namespaceOf, columns, rowOf, dataOf = (item: T): unknown => item } = view;
  const found = view.items
    .filter(
      (item) =>
        namespace === undefined || namespaceOf === undefined || namespaceOf(item) === namespace,
    )
    .filter((item) => name === undefined || nameOf(item) === name)
    .sort((a, b) => compare(keyOf(a), keyOf(b)));
  const place = namespace === undefined ? '' : ` in namespace "${namespace}"`;
  if (found.length === 0 && name !== undefined) throw missing(name, `${what}${place}`, view);
  const [only] = found;
  const data =
    name !== undefined && found.length === 1 && only !== undefined
      ? dataOf(only)
      : { items: found.map(dataOf) };
  if (found.length === 0 && output === 'table') {
    note(`no ${what}${place}`);
    return;
  }
  printAs(output, data, () => table(columns, found.map(rowOf)));

  function keyOf(item: T): string {
    return `${namespaceOf?.(item) ?? ''}/${nameOf(item)}`;
  }
}

function missing<T>(
  name: string,
  what: string,
  { items, nameOf, namespaceOf }: GetView<T>,
): UserError {
  const elsewhere = items.find((item) => nameOf(item) === name);
  const namespace = elsewhere === undefined ? undefined : namespaceOf?.(elsewhere);
  const known = [...new Set(items.map(nameOf))].sort().slice(0, 10);
  const fix =
    namespace === undefined
      ? known.length === 0
        ? undefined
        : `there are: ${known.join(', ')}`
      : `there is one in namespace "${namespace}": add -n ${namespace}`;
  return new UserError(`no "${name}" among the ${what}`, fix === undefined ? {} : { fix });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
