/** Fills values into a symbolic manifest, with Helm's notion of what is empty: "", 0, false, {} and [] are. */
import {
  type Condition,
  type Expression,
  isList,
  isTagged,
  type Node,
  type NodeMap,
  SPREAD_KEY,
} from './symbolic.ts';
import { isMap, type JsonMap, type JsonValue, valueAt } from './values.ts';

export interface RenderContext {
  readonly values: JsonMap;
  readonly namespace: string;
  /** Who installs, as `app.kubernetes.io/managed-by` says it. */
  readonly service: string;
}

/** Nothing when a condition leaves nothing. Comments stay, so that the result can be written with them. */
export function resolve(node: Node, context: RenderContext): Node | undefined {
  if (typeof node !== 'object') return node;
  if (isList(node)) return node.flatMap((item) => resolveItem(item, context));
  if (!isTagged(node)) return resolveMap(node, context);
  switch (node.$) {
    case 'when': {
      const chosen = holds(node.condition, context) ? node.then : node.otherwise;
      return chosen === undefined ? undefined : resolve(chosen, context);
    }
    case 'comment': {
      const of = resolve(node.of, context);
      return of === undefined ? undefined : { ...node, of };
    }
    case 'spread':
      throw new TypeError(`the spread of ${node.path} stands neither in a list nor in a map`);
    case 'value':
    case 'release':
    case 'orElse':
    case 'join':
    case 'json':
      return toNode(evaluate(node, context));
  }
}

/** What the API server gets: no comments, nothing symbolic. */
export function toPlain(node: Node): JsonValue {
  if (typeof node !== 'object') return node;
  if (isList(node)) return node.map(toPlain);
  if (!isTagged(node)) {
    return Object.fromEntries(Object.entries(node).map(([key, of]) => [key, toPlain(of)]));
  }
  if (node.$ === 'comment') return toPlain(node.of);
  throw new TypeError(`"${node.$}" was not resolved`);
}

export function holds(condition: Condition, context: RenderContext): boolean {
  if (typeof condition === 'object' && condition.$ === 'not') return !holds(condition.of, context);
  if (typeof condition === 'object' && condition.$ === 'all') {
    return condition.of.every((one) => holds(one, context));
  }
  return !isEmpty(evaluate(condition, context));
}

export function isEmpty(found: JsonValue | undefined): boolean {
  if (typeof found === 'object' && found !== null) return Object.keys(found).length === 0;
  return !found;
}

function resolveItem(item: Node, context: RenderContext): readonly Node[] {
  if (isTaggedAs(item, 'spread')) {
    const found = valueAt(context.values, item.path);
    return Array.isArray(found) ? found.map(toNode) : [];
  }
  const resolved = resolve(item, context);
  return resolved === undefined ? [] : [resolved];
}

function resolveMap(map: NodeMap, context: RenderContext): NodeMap {
  const entries = Object.entries(map).flatMap(([key, node]): [string, Node][] => {
    if (key === SPREAD_KEY && isTaggedAs(node, 'spread')) {
      const found = valueAt(context.values, node.path);
      return isMap(found) ? Object.entries(found).map(([name, of]) => [name, toNode(of)]) : [];
    }
    const resolved = resolve(node, context);
    return resolved === undefined ? [] : [[key, resolved]];
  });
  return Object.fromEntries(entries);
}

function evaluate(expression: Expression, context: RenderContext): JsonValue {
  if (typeof expression === 'string') return expression;
  switch (expression.$) {
    case 'value':
      return valueAt(context.values, expression.path) ?? '';
    case 'release':
      return expression.field === 'Namespace' ? context.namespace : context.service;
    case 'orElse': {
      const first = evaluate(expression.first, context);
      return isEmpty(first) ? evaluate(expression.second, context) : first;
    }
    case 'join':
      return expression.parts.map((part) => String(evaluate(part, context))).join('');
    case 'json':
      return sortedJson(valueAt(context.values, expression.path) ?? '');
  }
}

/** As Go writes a map. */
function sortedJson(found: JsonValue): string {
  if (Array.isArray(found)) return `[${found.map(sortedJson).join(',')}]`;
  if (!isMap(found)) return JSON.stringify(found);
  const entries = Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, of]) => `${JSON.stringify(key)}:${sortedJson(of)}`).join(',')}}`;
}

function isTaggedAs<Tag extends 'spread'>(node: Node, tag: Tag): node is Extract<Node, { $: Tag }> {
  return typeof node === 'object' && isTagged(node) && node.$ === tag;
}

/** Values have no `null` left once they are merged. */
function toNode(found: JsonValue): Node {
  if (found === null) return '';
  if (Array.isArray(found)) return found.map(toNode);
  if (typeof found === 'object') {
    return Object.fromEntries(Object.entries(found).map(([key, of]) => [key, toNode(of)]));
  }
  return found;
}
