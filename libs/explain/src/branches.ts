/**
 * Ways that differ only by chance, folded: endpoints with the same outcome are one branch, and every
 * decision that a draw could make is found by drawing evenly.
 */
import type { Branch, Hop } from './types.ts';

/** Draws that cover every endpoint of a service with up to this many equal ones. */
const DRAWS = 1024;

/** The different results of `decide` over even draws, first seen first. */
export function distinctDraws<T>(
  decide: (random: () => number) => T,
  keyOf: (result: T) => string,
): readonly T[] {
  const found = new Map<string, T>();
  for (let draw = 0; draw < DRAWS; draw += 1) {
    const value = (draw + 0.5) / DRAWS;
    const result = decide(() => value);
    const key = keyOf(result);
    if (!found.has(key)) found.set(key, result);
  }
  return [...found.values()];
}

/** One branch an outcome. `make` is asked for each; `what` names them in the plural. */
export function foldBranches<T>(
  items: readonly T[],
  make: (item: T) => Hop,
  what = 'endpoints',
): readonly Branch[] {
  const groups = new Map<string, Hop[]>();
  for (const item of items) {
    const hop = make(item);
    const key = shapeOf(hop);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [hop]);
    else group.push(hop);
  }
  return [...groups.values()].flatMap((hops) => {
    const [hop] = hops;
    if (hop === undefined) return [];
    return [{ label: labelOf({ count: hops.length, total: items.length, what }), hop }];
  });
}

function labelOf({ count, total, what }: { count: number; total: number; what: string }): string {
  if (total === 1) return '';
  if (count === total) return `any of ${total} ${what}, such as`;
  return count === 1 ? `1 of ${total} ${what}` : `${count} of ${total} ${what}, such as`;
}

/** Outcomes and objects, without the names and addresses in the texts. */
function shapeOf(hop: Hop): string {
  return JSON.stringify([
    hop.place,
    hop.steps.map(({ outcome, phase, objects }) => [outcome, phase, objects]),
    hop.end?.outcome,
    hop.end?.status,
    hop.end?.flag,
    hop.end?.phase,
    hop.end?.objects,
    hop.next.map((branch) => [branch.label, shapeOf(branch.hop)]),
  ]);
}
