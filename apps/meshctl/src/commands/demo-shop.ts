/** What the demo asks of its bookshop, and how it reads what the mesh says about it. Every answer is a real one. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '@ambit/lab';

const SAMPLES = join(import.meta.dirname, '..', '..', '..', '..', 'manifests', 'samples');
export const BOOKSHOP = join(SAMPLES, 'bookshop');
const MESHCTL = join(import.meta.dirname, '..', 'main.ts');

/** What `client.mjs --json` prints. */
export interface Tally {
  readonly statuses: Readonly<Record<string, number>>;
  readonly fields: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
}

export interface Answer {
  readonly isGood: boolean;
  readonly text: string;
}

/** One line of an access log. */
export interface AccessLine {
  readonly [field: string]: unknown;
}

export function stepYaml(name: string): string {
  return readFileSync(join(SAMPLES, 'bookshop-steps', `${name}.yaml`), 'utf8');
}

export class Shop {
  readonly #lab: Lab;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** Many requests from a pod, counted by a field of the answers. */
  async ask(pod: string, url: string, count: number, ...more: readonly string[]): Promise<Tally> {
    const argv = ['node', 'client.mjs', '-n', String(count), '--json', ...more, url];
    const { stdout, stderr } = await this.#lab.exec(pod, argv);
    try {
      return JSON.parse(stdout) as Tally;
    } catch (error) {
      throw new Error(`${argv.join(' ')} in ${pod}: ${stderr || stdout}`, { cause: error });
    }
  }

  async askOnce(pod: string, url: string, ...more: readonly string[]): Promise<Answer> {
    const result = await this.#lab.exec(pod, ['node', 'client.mjs', ...more, url]);
    return { isGood: result.code === 0, text: `${result.stdout}${result.stderr}`.trim() };
  }

  /** Access log lines of agents and waypoints that hold all of these words, newest last. */
  accessLines(...words: readonly string[]): readonly AccessLine[] {
    const names = [...(this.#lab.mesh?.components.keys() ?? [])].filter(
      (name) => name !== 'controller',
    );
    const waypoints = this.#lab.status().pods.filter(({ name }) => name.startsWith('waypoint-'));
    return [...names, ...waypoints.map(({ namespace, name }) => `${namespace}/${name}`)]
      .flatMap((name) => this.#lab.logs(name).split('\n'))
      .filter((line) => words.every((word) => line.includes(word)))
      .flatMap((line) => {
        try {
          return [JSON.parse(line) as AccessLine];
        } catch {
          // The last line may still be being written.
          return [];
        }
      });
  }

  /** Runs meshctl itself against this lab's controller, as a person would. */
  async meshctl(
    ...argv: readonly string[]
  ): Promise<{ readonly code: number | null; readonly text: string }> {
    const socket = join(this.#lab.paths.controller, 'admin.sock');
    const child = spawn(process.execPath, [MESHCTL, '--controller', socket, ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
    }
    const { promise, resolve, reject } = Promise.withResolvers<number | null>();
    child.once('error', reject);
    child.once('close', resolve);
    return { code: await promise, text: text.trimEnd() };
  }
}
