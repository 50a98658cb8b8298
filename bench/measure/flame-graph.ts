/**
 * Collapsed stacks as a flame graph: an SVG of bounded size, outermost callers below, widths as shares of the time.
 *
 * What is too narrow to be seen is left out, with all that it calls.
 */

interface Frame {
  readonly name: string;
  value: number;
  readonly callees: Map<string, Frame>;
}

const WIDTH = 1_200;
const ROW = 16;
const TOP = 24;
/** Of the width. */
const NARROWEST = 1 / 400;
const CHARACTER = 6.6;
const HUES = 40;

const frameOf = (name: string): Frame => ({ name, value: 0, callees: new Map() });

/** `stacks`: `a;b;c VALUE`. */
export function flameGraph(title: string, stacks: readonly string[]): string {
  const root = treeOf(stacks);
  const rows: string[] = [];
  const deepest = draw(root, { x: 0, depth: 0, total: Math.max(1, root.value), rows });
  const height = TOP + (deepest + 1) * ROW;
  const place = (text: string): string =>
    text.replaceAll(
      /y="(\d+)"/g,
      (_all, depth: string) => `y="${height - Number(depth) * ROW - ROW}"`,
    );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="11">`,
    `<text x="4" dy="16" font-size="13">${asText(title)}</text>`,
    ...rows.map(place),
    '</svg>\n',
  ].join('\n');
}

function treeOf(stacks: readonly string[]): Frame {
  const root = frameOf('all');
  for (const line of stacks) {
    const at = line.lastIndexOf(' ');
    const value = Number(line.slice(at + 1));
    root.value += value;
    let frame = root;
    for (const name of line.slice(0, at).split(';')) {
      const callee = frame.callees.get(name) ?? frameOf(name);
      frame.callees.set(name, callee);
      callee.value += value;
      frame = callee;
    }
  }
  return root;
}

/** Rows have their depth for `y`, until the height is known. Returns the greatest depth. */
function draw(
  { name, value, callees }: Frame,
  at: {
    readonly x: number;
    readonly depth: number;
    readonly total: number;
    readonly rows: string[];
  },
): number {
  const { depth, total, rows } = at;
  const share = value / total;
  if (share < NARROWEST) {
    return depth - 1;
  }
  const width = share * WIDTH;
  const percent = (share * 100).toFixed(1);
  const text = name.slice(0, Math.max(0, Math.floor(width / CHARACTER) - 1));
  rows.push(
    `<g><title>${asText(name)} ${percent} %</title><rect x="${at.x.toFixed(1)}" y="${depth}" width="${width.toFixed(1)}" height="${ROW - 1}" fill="hsl(${hueOf(name)} 80% 72%)"/><text x="${(at.x + 2).toFixed(1)}" y="${depth}" dy="12">${asText(text)}</text></g>`,
  );
  let { x } = at;
  let deepest = depth;
  for (const callee of [...callees.values()].sort((a, b) => b.value - a.value)) {
    deepest = Math.max(deepest, draw(callee, { x, depth: depth + 1, total, rows }));
    x += (callee.value / total) * WIDTH;
  }
  return deepest;
}

/** The same function has the same colour in every graph. */
function hueOf(name: string): number {
  let sum = 0;
  for (const character of name) {
    sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 9_973;
  }
  return 10 + (sum % HUES);
}

function asText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
