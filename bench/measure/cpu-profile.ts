/** A .cpuprofile of V8 as tables small enough to keep: where time was spent itself, and the stacks that led there. */

export interface ProfileNode {
  readonly id: number;
  readonly callFrame: {
    readonly functionName: string;
    readonly url: string;
    readonly lineNumber: number;
  };
  readonly children?: readonly number[];
}

export interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  /** Node of each sample. */
  readonly samples: readonly number[];
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[];
}

export interface ProfileSummary {
  /** Computed, without what was idle. */
  readonly busyMs: number;
  /** Function and file, its own share of that, in percent; the largest first. */
  readonly self: readonly (readonly [name: string, percent: number])[];
  /** Collapsed stacks, outermost first, as flame graph tools read them: `a;b;c MILLISECONDS`. */
  readonly stacks: readonly string[];
}

const SELF_MAX = 40;
const STACKS_MAX = 400;
const IDLE = '(idle)';
/** V8's own; what is above it in a stack says nothing. */
const ROOT = '(root)';

/**
 * `root`: of the checkout, left out of names. `lastMs`: what was before is left out, as a start. Throws a RangeError for a
 * profile without samples.
 */
export function summarizeProfile(
  profile: CpuProfile,
  root: string,
  lastMs = Number.POSITIVE_INFINITY,
): ProfileSummary {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map(
    profile.nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)),
  );
  const spent = new Map<number, number>();
  let counted = 0;
  for (
    let index = profile.samples.length - 1;
    index >= 0 && counted <= lastMs * 1_000;
    index -= 1
  ) {
    const micros = Math.max(0, profile.timeDeltas[index] ?? 0);
    const id = profile.samples[index] ?? 0;
    counted += micros;
    spent.set(id, (spent.get(id) ?? 0) + micros);
  }
  if (spent.size === 0) {
    throw new RangeError('a profile without samples');
  }
  const names = new Map(profile.nodes.map((node) => [node.id, nameOf(node, root)]));
  const self = new Map<string, number>();
  const stacks = new Map<string, number>();
  let busy = 0;
  for (const [id, micros] of spent) {
    const name = names.get(id) ?? '';
    if (name === IDLE) {
      continue;
    }
    busy += micros;
    self.set(name, (self.get(name) ?? 0) + micros);
    const stack: string[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      if (nodes.get(at)?.callFrame.functionName !== ROOT) {
        stack.unshift(names.get(at) ?? '');
      }
    }
    const key = stack.join(';');
    stacks.set(key, (stacks.get(key) ?? 0) + micros);
  }
  const largest = (map: ReadonlyMap<string, number>, count: number) =>
    [...map].sort(([, a], [, b]) => b - a).slice(0, count);
  return {
    busyMs: Math.round(busy / 1_000),
    self: largest(self, SELF_MAX).map(([name, micros]) => [
      name,
      Math.round((micros / busy) * 1_000) / 10,
    ]),
    stacks: largest(stacks, STACKS_MAX).map(
      ([key, micros]) => `${key} ${Math.round(micros / 1_000)}`,
    ),
  };
}

function nameOf(
  { callFrame: { functionName, url, lineNumber } }: ProfileNode,
  root: string,
): string {
  const name = functionName === '' ? `line ${lineNumber + 1}` : functionName;
  if (url === '') {
    return name;
  }
  const path = url.replace('file://', '').replace(`${root}/`, '');
  return `${name} ${path}`;
}
