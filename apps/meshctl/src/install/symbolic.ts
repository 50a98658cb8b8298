/**
 * Manifests whose values are not known yet.
 *
 * One tree serves two readers: `resolve` fills in values for `meshctl install`, `emitYaml` writes it as a Helm template.
 * A plain map never has the key `$`; that is how the symbolic ones are told apart.
 */
export type Expression =
  | string
  /** A value by its dotted path in values.yaml. */
  | { readonly $: 'value'; readonly path: string }
  /** What the installer knows: the namespace, and who installs (`Helm` or `meshctl`). */
  | { readonly $: 'release'; readonly field: 'Namespace' | 'Service' }
  /** The second when the first is empty. */
  | { readonly $: 'orElse'; readonly first: Expression; readonly second: Expression }
  | { readonly $: 'join'; readonly parts: readonly Expression[] }
  /** A map or list as JSON with sorted keys, in a text. */
  | { readonly $: 'json'; readonly path: string };

export type Condition =
  | Expression
  | { readonly $: 'not'; readonly of: Condition }
  | { readonly $: 'all'; readonly of: readonly Condition[] };

export interface When {
  readonly $: 'when';
  readonly condition: Condition;
  readonly then: Node;
  readonly otherwise: Node | undefined;
}

/** Entries of a value among those that are written out: of a list in a list, of a map in a map (as key `...`). */
export interface Spread {
  readonly $: 'spread';
  readonly path: string;
}

export interface Comment {
  readonly $: 'comment';
  readonly text: string;
  readonly of: Node;
}

export type Node =
  | Expression
  | number
  | boolean
  | When
  | Spread
  | Comment
  | readonly Node[]
  | NodeMap;

export interface NodeMap {
  readonly [key: string]: Node;
}

type Tagged = Exclude<Expression, string> | When | Spread | Comment;

/** The key under which a map takes in the entries of a value. */
export const SPREAD_KEY = '...';

export const value = (path: string): Expression => ({ $: 'value', path });
export const releaseNamespace: Expression = { $: 'release', field: 'Namespace' };
export const releaseService: Expression = { $: 'release', field: 'Service' };
export const orElse = (first: Expression, second: Expression): Expression => ({
  $: 'orElse',
  first,
  second,
});
export const join = (...parts: readonly Expression[]): Expression => ({ $: 'join', parts });
/** As text, whatever it is in values.yaml: environment variables take nothing else. */
export const text = (path: string): Expression => join(value(path));
export const json = (path: string): Expression => ({ $: 'json', path });
export const not = (of: Condition): Condition => ({ $: 'not', of });
export const all = (...of: readonly Condition[]): Condition => ({ $: 'all', of });
export const when = (condition: Condition, then: Node, otherwise?: Node): When => ({
  $: 'when',
  condition,
  then,
  otherwise,
});
/** The value, or nothing at all when it is empty. */
export const ifGiven = (path: string): When => when(value(path), value(path));
export const spread = (path: string): Spread => ({ $: 'spread', path });
export const comment = (said: string, of: Node): Comment => ({ $: 'comment', text: said, of });

export function isTagged(node: Node): node is Tagged {
  return typeof node === 'object' && !Array.isArray(node) && '$' in node;
}

export function isList(node: Node): node is readonly Node[] {
  return Array.isArray(node);
}
