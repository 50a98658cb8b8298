/**
 * Which entries of an ordered list can hold for a path at all: a radix tree of what they ask of it.
 *
 * Rule: it leaves out only what cannot hold, and keeps the order. Whether an entry holds is decided by the entry.
 */

/** What a path has to be, or to begin with. */
export interface PathKey {
  readonly kind: 'exact' | 'prefix';
  readonly value: string;
}

interface Node {
  parent: Node | undefined;
  label: string;
  children: Map<number, Node> | undefined;
  /** Entries that ask for exactly this path, and for one that begins so; ascending. */
  readonly exact: number[];
  readonly prefix: number[];
  /** Answers that were given: for a path that ends here, and for one that goes on. */
  here: readonly number[] | undefined;
  below: readonly number[] | undefined;
}

/** Numbers kept in answers, all together; beyond, they are made anew each time. */
const KEPT_MAX = 65_536;

export class PathIndex {
  readonly #root = makeNode('', undefined);
  #kept = 0;

  /** Of each entry: one of these keys has to fit. Undefined: every path will do. */
  constructor(keys: readonly (readonly PathKey[] | undefined)[]) {
    for (const [entry, own] of keys.entries()) {
      for (const key of own ?? [EVERYTHING]) {
        const list = this.#nodeOf(key.value)[key.kind];
        if (list.at(-1) !== entry) {
          list.push(entry);
        }
      }
    }
  }

  /** Ascending. Not to be changed. */
  candidates(path: string): readonly number[] {
    let node = this.#root;
    let at = 0;
    while (at < path.length) {
      const next = node.children?.get(path.charCodeAt(at));
      if (next === undefined || !path.startsWith(next.label, at)) {
        break;
      }
      node = next;
      at += next.label.length;
    }
    const isHere = at === path.length;
    return (isHere ? node.here : node.below) ?? this.#answer(node, isHere);
  }

  #answer(node: Node, isHere: boolean): readonly number[] {
    const lists = isHere ? [node.exact] : [];
    for (let up: Node | undefined = node; up !== undefined; up = up.parent) {
      lists.push(up.prefix);
    }
    const answer = merged(lists.filter((list) => list.length > 0));
    if (this.#kept + answer.length <= KEPT_MAX) {
      this.#kept += answer.length;
      if (isHere) {
        node.here = answer;
      } else {
        node.below = answer;
      }
    }
    return answer;
  }

  #nodeOf(value: string): Node {
    let node = this.#root;
    let at = 0;
    while (at < value.length) {
      const first = value.charCodeAt(at);
      node.children ??= new Map();
      let next = node.children.get(first);
      if (next === undefined) {
        next = makeNode(value.slice(at), node);
        node.children.set(first, next);
      } else {
        const shared = sharedLength(next.label, value, at);
        if (shared < next.label.length) {
          next = split(node, next, shared);
        }
      }
      node = next;
      at += next.label.length;
    }
    return node;
  }
}

const EVERYTHING: PathKey = { kind: 'prefix', value: '' };

function makeNode(label: string, parent: Node | undefined): Node {
  const lists = { exact: [], prefix: [], here: undefined, below: undefined };
  return { parent, label, children: undefined, ...lists };
}

/** Puts a node between the two, for the first characters that the lower one's label has. */
function split(upper: Node, lower: Node, length: number): Node {
  const middle = makeNode(lower.label.slice(0, length), upper);
  upper.children?.set(lower.label.charCodeAt(0), middle);
  lower.parent = middle;
  lower.label = lower.label.slice(length);
  middle.children = new Map([[lower.label.charCodeAt(0), lower]]);
  return middle;
}

/** How far `label` and `value` from `at` on are the same. */
function sharedLength(label: string, value: string, at: number): number {
  let length = 0;
  while (length < label.length && label.charCodeAt(length) === value.charCodeAt(at + length)) {
    length += 1;
  }
  return length;
}

function merged(lists: readonly (readonly number[])[]): readonly number[] {
  const [only] = lists;
  return lists.length === 1 && only !== undefined
    ? only
    : [...new Set(lists.flat())].sort((a, b) => a - b);
}
