/**
 * Our entry in the network configuration of others, as text in and text out. Pure.
 *
 * Rule: nothing but our own entry changes, byte for byte. A single configuration (`.conf`) becomes a list that holds
 * it as it is.
 */
import { isRecord } from '../plugin/cni-protocol.ts';
import { elementSpans, memberSpan, type Span } from './json-spans.ts';

/** Name of the plugin, and so of its file. */
export const PLUGIN_TYPE = 'ambit-cni';

export interface PluginEntry {
  readonly type: typeof PLUGIN_TYPE;
  readonly runDir: string;
  readonly exemptNamespaces: readonly string[];
  readonly agentPods: string;
}

export class ConflistError extends Error {
  override readonly name = 'ConflistError';
}

/**
 * With the entry last, or unchanged where it is already behind another plugin. Throws ConflistError for what is no
 * list with a plugin in it.
 */
export function insertEntry(text: string, entry: PluginEntry): string {
  const list = parseList(text);
  const wanted = JSON.stringify(entry);
  const own = list.plugins.flatMap((plugin, index) => (isOwn(plugin) ? [index] : []));
  const [first] = own;
  if (first !== undefined && first > 0 && own.length === 1) {
    const span = list.spans[first];
    if (span === undefined || JSON.stringify(list.plugins[first]) === wanted) {
      return text;
    }
    return text.slice(0, span.start) + wanted + text.slice(span.end);
  }
  if (own.length > 0) {
    // First of all, or twice: no place that we chose.
    return insertEntry(removeEntry(text), entry);
  }
  const last = list.spans.at(-1);
  if (last === undefined) {
    throw new ConflistError('"plugins" is empty: there is no network to be chained to');
  }
  return `${text.slice(0, last.end)},${gapBefore(text, last)}${wanted}${text.slice(last.end)}`;
}

/** Without any entry of ours. Text that is no list is given back as it is. */
export function removeEntry(text: string): string {
  let list: ParsedList;
  try {
    list = parseList(text);
  } catch {
    return text;
  }
  const at = list.plugins.findLastIndex(isOwn);
  const span = list.spans[at];
  if (at === -1 || span === undefined) {
    return text;
  }
  const before = list.spans[at - 1];
  const after = list.spans[at + 1];
  const cut: Span = {
    start: before === undefined ? span.start : before.end,
    end: before === undefined && after !== undefined ? after.start : span.end,
  };
  return removeEntry(text.slice(0, cut.start) + text.slice(cut.end));
}

export function hasEntry(text: string): boolean {
  try {
    return parseList(text).plugins.some(isOwn);
  } catch {
    return false;
  }
}

/** A list that holds one configuration, with its name and version. Throws ConflistError for what is none. */
export function wrapConf(text: string): string {
  const value = parseObject(text);
  const { cniVersion, name, type } = value;
  if (typeof type !== 'string' || typeof name !== 'string') {
    throw new ConflistError('a single configuration has a "type" and a "name"');
  }
  const head = { ...(typeof cniVersion === 'string' ? { cniVersion } : {}), name };
  const plugin = text.trim().replaceAll('\n', '\n    ');
  const fields = Object.entries(head).map(
    ([key, found]) => `  "${key}": ${JSON.stringify(found)},`,
  );
  return `{\n${fields.join('\n')}\n  "plugins": [\n    ${plugin}\n  ]\n}\n`;
}

interface ParsedList {
  readonly plugins: readonly unknown[];
  readonly spans: readonly Span[];
}

function parseList(text: string): ParsedList {
  const { plugins } = parseObject(text);
  const array = memberSpan(text, 'plugins');
  if (!Array.isArray(plugins) || array === undefined) {
    throw new ConflistError('there is no list "plugins"');
  }
  return { plugins, spans: elementSpans(text, array) };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ConflistError(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!isRecord(value)) {
    throw new ConflistError('not a JSON object');
  }
  return value;
}

function isOwn(plugin: unknown): boolean {
  return isRecord(plugin) && plugin['type'] === PLUGIN_TYPE;
}

/** The white space that stands before an element, so that ours stands as its neighbour does. */
function gapBefore(text: string, { start }: Span): string {
  let from = start;
  while (from > 0 && ' \t\r\n'.includes(text[from - 1] ?? '')) {
    from -= 1;
  }
  return text.slice(from, start);
}
