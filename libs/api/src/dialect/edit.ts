/**
 * Edits that a dialect makes, described once and applied to plain JSON (parsing) or to a YAML document
 * with its comments (`meshctl fix`).
 */
import { type Document, isMap, isPair, isScalar, type Pair, type YAMLMap } from 'yaml';
import { isRecord, type Path, valueAt } from '../value/path.ts';

export type Edit =
  | { readonly op: 'set'; readonly path: Path; readonly value: unknown }
  | { readonly op: 'move'; readonly from: Path; readonly to: Path }
  | { readonly op: 'delete'; readonly path: Path }
  /** Removes what a move has left empty; the comment above it goes to `heir`. */
  | { readonly op: 'deleteIfEmpty'; readonly path: Path; readonly heir: Path };

/** Applies `edit` to `root` in place. */
export function applyToJson(root: unknown, edit: Edit): void {
  switch (edit.op) {
    case 'set':
      putJson(root, edit.path, edit.value);
      return;
    case 'move': {
      const value = valueAt(root, edit.from);
      removeJson(root, edit.from);
      putJson(root, edit.to, value);
      return;
    }
    case 'delete':
      removeJson(root, edit.path);
      return;
    case 'deleteIfEmpty': {
      const value = valueAt(root, edit.path);
      if (isRecord(value) && Object.keys(value).length === 0) removeJson(root, edit.path);
    }
  }
}

function removeJson(root: unknown, path: Path): void {
  const parent = valueAt(root, path.slice(0, -1));
  const key = path.at(-1);
  if (isRecord(parent) && typeof key === 'string') delete parent[key];
}

function putJson(root: unknown, path: Path, value: unknown): void {
  let parent = root;
  path.slice(0, -1).forEach((key, index) => {
    if (valueAt(parent, [key]) === undefined) {
      Reflect.set(Object(parent), key, typeof path[index + 1] === 'number' ? [] : {});
    }
    parent = valueAt(parent, [key]);
  });
  const key = path.at(-1);
  if (key !== undefined && typeof parent === 'object' && parent !== null)
    Reflect.set(parent, key, value);
}

/** Applies `edit` below `prefix`; comments move along with their key. */
export function applyToYaml(document: Document, prefix: Path, edit: Edit): void {
  switch (edit.op) {
    case 'set':
      setYaml(document, [...prefix, ...edit.path], edit.value);
      return;
    case 'move':
      moveYaml(document, [...prefix, ...edit.from], [...prefix, ...edit.to]);
      return;
    case 'delete':
      document.deleteIn([...prefix, ...edit.path]);
      return;
    case 'deleteIfEmpty': {
      const node = document.getIn([...prefix, ...edit.path]);
      if (!isMap(node) || node.items.length > 0) return;
      bequeathComment(document, [...prefix, ...edit.path], [...prefix, ...edit.heir]);
      document.deleteIn([...prefix, ...edit.path]);
    }
  }
}

function bequeathComment(document: Document, path: Path, heir: Path): void {
  const from = pairAt(document, path)?.key;
  const target = pairAt(document, heir);
  if (!isScalar(from) || !from.commentBefore || target === undefined) return;
  const key = isScalar(target.key) ? target.key : document.createNode(String(target.key));
  if (!isScalar(key)) return;
  key.commentBefore = [from.commentBefore, key.commentBefore].filter(Boolean).join('\n');
  target.key = key;
}

function pairAt(document: Document, path: Path): Pair | undefined {
  const parent = document.getIn(path.slice(0, -1));
  return isMap(parent) ? pairOf(parent, path.at(-1)) : undefined;
}

/** A scalar is changed in place, so that the comment at the end of its line stays. */
function setYaml(document: Document, path: Path, value: unknown): void {
  const node = document.getIn(path, true);
  if (isScalar(node) && (typeof value !== 'object' || value === null)) {
    node.value = value;
    if (typeof value === 'string' && needsQuotes(value)) node.type = 'QUOTE_DOUBLE';
    else delete node.type;
    delete node.source;
  } else document.setIn(path, document.createNode(value));
}

function needsQuotes(value: string): boolean {
  return /^(?:[\d.+-].*|true|false|null|yes|no|on|off|~?)$/i.test(value);
}

function moveYaml(document: Document, from: Path, to: Path): void {
  const source = document.getIn(from.slice(0, -1));
  if (!isMap(source)) return;
  const pair = pairOf(source, from.at(-1));
  if (pair === undefined) return;
  const name = to.at(-1);
  const isSameParent =
    from.length === to.length && from.slice(0, -1).every((key, index) => key === to[index]);
  if (isSameParent) {
    setKey(pair, name);
    return;
  }
  // A comment above the first key belongs to the map in the parser's eyes, and to the key in its author's.
  if (source.items[0] === pair && source.commentBefore && isScalar(pair.key)) {
    pair.key.commentBefore = source.commentBefore;
    delete source.commentBefore;
  }
  source.items.splice(source.items.indexOf(pair), 1);
  if (
    typeof name === 'number' ||
    to.some((key) => typeof key === 'number' && !document.hasIn(to.slice(0, to.indexOf(key) + 1)))
  ) {
    document.setIn(
      to.slice(0, -1),
      document.createNode(typeof name === 'number' ? [pair.value] : undefined),
    );
    return;
  }
  const parent = to.slice(0, -1);
  if (!isMap(document.getIn(parent))) document.setIn(parent, document.createNode({}));
  const target = document.getIn(parent);
  if (!isMap(target)) return;
  target.flow = false;
  setKey(pair, name);
  target.items.push(pair);
}

function pairOf(map: YAMLMap, key: string | number | undefined): Pair | undefined {
  return map.items.find(
    (item) => isPair(item) && (isScalar(item.key) ? item.key.value : item.key) === key,
  );
}

function setKey(pair: Pair, name: string | number | undefined): void {
  if (isScalar(pair.key)) {
    pair.key.value = name;
    delete pair.key.source;
  } else pair.key = name;
}
