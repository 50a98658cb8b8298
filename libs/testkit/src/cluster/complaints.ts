/** What agents complained of during a test, also those that are gone by its end, and whose logs with them. */
import { createInterface } from 'node:readline';
import { startKubectl, stopProcess } from './kubectl.ts';
import { SYSTEM } from './mesh-cluster.ts';

const AGENTS = 'app.kubernetes.io/name=ambit-node-agent';
/** Of different kinds; beyond, only those known are counted. */
const KINDS_MAX = 200;
const SHOWN = 12;

interface Kind {
  count: number;
  readonly firstAt: string;
  lastAt: string;
}

interface Line {
  readonly level?: string;
  readonly time?: string;
  readonly message?: string;
  readonly error?: string;
}

export class Complaints implements Disposable {
  readonly #followers: ReturnType<typeof startKubectl>[] = [];
  readonly #kinds = new Map<string, Kind>();

  /** Listens to the agents that run now. Call again when there are others. */
  follow(): void {
    const options = [
      '-f',
      '--ignore-errors',
      '--since=1s',
      '--prefix=false',
      '--max-log-requests=20',
    ];
    const child = startKubectl('-n', SYSTEM, 'logs', '-l', AGENTS, ...options);
    this.#followers.push(child);
    child.stderr?.resume();
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on('line', (line) => this.#take(line));
    }
  }

  /** The most frequent ones, with how often, and when first and last. */
  toString(): string {
    const kinds = [...this.#kinds].sort(([, left], [, right]) => right.count - left.count);
    const lines = kinds
      .slice(0, SHOWN)
      .map(([text, { count, firstAt, lastAt }]) => `${count} × ${text} (${firstAt} to ${lastAt})`);
    return ['agents complained of:', ...lines].join('\n  ');
  }

  [Symbol.dispose](): void {
    for (const child of this.#followers) {
      stopProcess(child, 'SIGKILL');
    }
  }

  #take(text: string): void {
    const line = parse(text);
    const what = line?.error ?? (line?.level === 'info' ? undefined : line?.message);
    if (line === undefined || what === undefined) {
      return;
    }
    // Addresses and counts differ in each.
    const kind = `${line.message ?? ''}: ${what}`.replaceAll(/\d+/g, '#').slice(0, 300);
    const at = line.time ?? '';
    const known = this.#kinds.get(kind);
    if (known !== undefined) {
      known.count += 1;
      known.lastAt = at;
    } else if (this.#kinds.size < KINDS_MAX) {
      this.#kinds.set(kind, { count: 1, firstAt: at, lastAt: at });
    }
  }
}

/** Undefined: a line that nobody of ours wrote. */
function parse(text: string): Line | undefined {
  try {
    return JSON.parse(text) as Line;
  } catch {
    return undefined;
  }
}
