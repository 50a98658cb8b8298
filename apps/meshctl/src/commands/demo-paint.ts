/** How the demo looks: headings, indented YAML, bars of counts. Colour only on a terminal that wants it. */

const BAR_CELLS = 40;
const INDENT = '    ';

export interface Painter {
  readonly write: (text: string) => void;
  readonly hasColor: boolean;
}

type Style = 'bold' | 'dim' | 'green' | 'red' | 'cyan';

const CODES: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  green: [32, 39],
  red: [31, 39],
  cyan: [36, 39],
};

export class Paper {
  readonly #painter: Painter;

  constructor(painter: Painter) {
    this.#painter = painter;
  }

  line(text = ''): void {
    this.#painter.write(`${text}\n`);
  }

  style(style: Style, text: string): string {
    const [on, off] = CODES[style];
    return this.#painter.hasColor ? `\u001B[${on}m${text}\u001B[${off}m` : text;
  }

  heading(number: number, total: number, title: string): void {
    this.line();
    this.line(this.style('bold', `${number}/${total}  ${title}`));
  }

  /** A sentence about what happens. */
  tell(text: string): void {
    this.line(`  ${text}`);
  }

  /** What is applied, without the comments. */
  object(yaml: string): void {
    const lines = yaml.split('\n').filter((line) => !line.startsWith('#') && line !== '');
    this.line(this.style('dim', lines.map((line) => `${INDENT}${line}`).join('\n')));
  }

  labelled(label: 'asked' | 'saw' | 'try', text: string): void {
    const lines = text.split('\n');
    const name = label.padEnd(5);
    const painted = label === 'try' ? lines.map((line) => this.style('cyan', line)) : lines;
    this.line(`  ${this.style('bold', name)}  ${painted.join(`\n${' '.repeat(9)}`)}`);
  }

  done(seconds: number): void {
    this.line(`  ${this.style('green', '✔')} ${seconds.toFixed(1)} s`);
  }

  failed(reason: string): void {
    this.line(`  ${this.style('red', '✘')} ${reason}`);
  }
}

/** One line a name: `v1  ████████  80 %  (400)`. */
export function bars(counts: Readonly<Record<string, number>>): string {
  const entries = Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1));
  const total = entries.reduce((sum, [, count]) => sum + count, 0);
  const width = Math.max(...entries.map(([name]) => name.length), 1);
  return entries
    .map(([name, count]) => {
      const share = total === 0 ? 0 : count / total;
      const bar = '█'.repeat(Math.max(count > 0 ? 1 : 0, Math.round(share * BAR_CELLS)));
      return `${name.padEnd(width)}  ${bar.padEnd(BAR_CELLS)}  ${(share * 100).toFixed(1)} %  (${count})`;
    })
    .join('\n');
}
