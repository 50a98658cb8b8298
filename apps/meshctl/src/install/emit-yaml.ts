/**
 * Writes manifests as YAML: resolved ones for people, symbolic ones as Helm templates.
 *
 * Texts are quoted unless they can be nothing else than a text, and `{{` of our own (dashboards, alerts) is escaped
 * in templates, so that Helm evaluates only what was meant for it.
 */
import {
  type Condition,
  type Expression,
  isList,
  isTagged,
  type Node,
  type NodeMap,
  SPREAD_KEY,
} from './symbolic.ts';
import { typeOfValue } from './values-table.ts';

const PLAIN = /^[A-Za-z/][A-Za-z0-9_./-]*$/;
const WORDS_WITH_MEANING = /^(?:true|false|yes|no|on|off|y|n|null)$/i;
const STEP = '  ';

/** Stand for `{{` and `}}` that are no template; of a private use area, so that no manifest has them. */
const OPEN = '\uE000';
const CLOSE = '\uE001';

/** One document, without the `---` before it. */
export function emitYaml(node: Node, style: 'plain' | 'template' = 'plain'): string {
  const written = `${lines(node, '').join('\n')}\n`;
  const [open, close] = style === 'plain' ? ['{{', '}}'] : ['{{ "{{" }}', '{{ "}}" }}'];
  return written.replaceAll(OPEN, open).replaceAll(CLOSE, close);
}

/** Lines of a block at an indent. */
function lines(node: Node, indent: string): readonly string[] {
  if (isTaggedAs(node, 'when')) {
    return conditional(node, (branch) => lines(branch, indent));
  }
  if (isTaggedAs(node, 'comment')) {
    return [...commentLines(node.text, indent), ...lines(node.of, indent)];
  }
  if (isBlockList(node)) return node.flatMap((item) => itemLines(item, indent));
  if (isBlockMap(node)) {
    return Object.entries(node).flatMap(([key, of]) => entryLines(key, of, indent));
  }
  return [`${indent}${inline(node)}`];
}

function entryLines(key: string, node: Node, indent: string): readonly string[] {
  if (isTaggedAs(node, 'when')) {
    return conditional(node, (branch) => entryLines(key, branch, indent));
  }
  if (isTaggedAs(node, 'comment')) {
    return [...commentLines(node.text, indent), ...entryLines(key, node.of, indent)];
  }
  if (key === SPREAD_KEY && isTaggedAs(node, 'spread')) return spreadLines(node.path, indent);
  const name = `${indent}${scalar(key)}:`;
  if (typeof node === 'string' && node.includes('\n')) return blockText(name, node, indent);
  if (isStructure(node)) {
    return [
      `${name}`,
      `${indent}${STEP}{{- toYaml .Values.${node.path} | nindent ${indent.length + 2} }}`,
    ];
  }
  if (isBlockList(node) || isBlockMap(node)) return [name, ...lines(node, indent + STEP)];
  return [`${name} ${inline(node)}`];
}

function itemLines(node: Node, indent: string): readonly string[] {
  if (isTaggedAs(node, 'when')) return conditional(node, (branch) => itemLines(branch, indent));
  if (isTaggedAs(node, 'comment')) {
    return [...commentLines(node.text, indent), ...itemLines(node.of, indent)];
  }
  if (isTaggedAs(node, 'spread')) return spreadLines(node.path, indent);
  if (!isBlockMap(node)) return [`${indent}- ${inline(node)}`];
  const [first = '', ...rest] = lines(node, indent + STEP);
  if (!first.startsWith(indent + STEP) || first.includes('{{-')) {
    throw new TypeError(`the first entry of a list's map is conditional: ${first}`);
  }
  return [`${indent}- ${first.slice(indent.length + 2)}`, ...rest];
}

function conditional(
  node: Extract<Node, { $: 'when' }>,
  emit: (branch: Node) => readonly string[],
): readonly string[] {
  return [
    `{{- if ${conditionOf(node.condition)} }}`,
    ...emit(node.then),
    ...(node.otherwise === undefined ? [] : ['{{- else }}', ...emit(node.otherwise)]),
    '{{- end }}',
  ];
}

function spreadLines(path: string, indent: string): readonly string[] {
  return [
    `{{- with .Values.${path} }}`,
    `${indent}{{- toYaml . | nindent ${indent.length} }}`,
    '{{- end }}',
  ];
}

function blockText(name: string, body: string, indent: string): readonly string[] {
  const isEnded = body.endsWith('\n');
  const content = (isEnded ? body.slice(0, -1) : body).split('\n');
  return [
    `${name} ${isEnded ? '|' : '|-'}`,
    ...content.map((line) => (line === '' ? '' : `${indent}${STEP}${masked(line)}`)),
  ];
}

function commentLines(said: string, indent: string): readonly string[] {
  return said.split('\n').map((line) => `${indent}# ${line}`);
}

function inline(node: Node): string {
  if (typeof node === 'number' || typeof node === 'boolean') return String(node);
  if (typeof node === 'string') return scalar(node);
  if (isList(node)) return '[]';
  if (!isTagged(node)) return '{}';
  switch (node.$) {
    case 'value':
      return typeOfValue(node.path) === 'string'
        ? `{{ ${expressionOf(node)} | quote }}`
        : `{{ ${expressionOf(node)} }}`;
    case 'release':
    case 'orElse':
    case 'join':
    case 'json':
      return `{{ ${expressionOf(node)} | quote }}`;
    case 'when':
    case 'spread':
    case 'comment':
      throw new TypeError(`"${node.$}" does not fit on one line`);
  }
}

/** As an operand in a template. */
function expressionOf(expression: Expression): string {
  if (typeof expression === 'string') return JSON.stringify(expression);
  switch (expression.$) {
    case 'value': {
      const reference = `.Values.${expression.path}`;
      // Numbers of values files are floats, which Go writes as 1e+06.
      return typeOfValue(expression.path) === 'integer' ? `(int ${reference})` : reference;
    }
    case 'release':
      return `.Release.${expression.field}`;
    case 'orElse':
      return `(default ${expressionOf(expression.second)} ${expressionOf(expression.first)})`;
    case 'json':
      return `(toJson .Values.${expression.path})`;
    case 'join': {
      const format = expression.parts
        .map((part) => (typeof part === 'string' ? part.replaceAll('%', '%%') : '%v'))
        .join('');
      const operands = expression.parts.filter((part) => typeof part !== 'string');
      return `(printf ${[JSON.stringify(format), ...operands.map(expressionOf)].join(' ')})`;
    }
  }
}

function conditionOf(condition: Condition): string {
  if (typeof condition === 'object' && condition.$ === 'not') {
    return `(not ${conditionOf(condition.of)})`;
  }
  if (typeof condition === 'object' && condition.$ === 'all') {
    return `(and ${condition.of.map(conditionOf).join(' ')})`;
  }
  return expressionOf(condition);
}

function scalar(body: string): string {
  const isPlain = PLAIN.test(body) && !WORDS_WITH_MEANING.test(body);
  return isPlain ? body : masked(JSON.stringify(body));
}

/** Braces of our own, until all is written. */
function masked(body: string): string {
  return body.replaceAll('{{', OPEN).replaceAll('}}', CLOSE);
}

function isBlockList(node: Node): node is readonly Node[] {
  return isList(node) && node.length > 0;
}

function isBlockMap(node: Node): node is NodeMap {
  return (
    typeof node === 'object' && !isList(node) && !isTagged(node) && Object.keys(node).length > 0
  );
}

/** A value that is a list or a map. */
function isStructure(node: Node): node is { readonly $: 'value'; readonly path: string } {
  return isTaggedAs(node, 'value') && ['list', 'map'].includes(typeOfValue(node.path));
}

function isTaggedAs<Tag extends string>(node: Node, tag: Tag): node is Extract<Node, { $: Tag }> {
  return typeof node === 'object' && isTagged(node) && node.$ === tag;
}
