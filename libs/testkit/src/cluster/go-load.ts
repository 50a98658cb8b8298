/** A load of `programs/go/load.go` in a pod of the Go program: more than a client on Node could send beside the rest. */
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { startKubectl, stopProcess } from './kubectl.ts';

export interface GoReport {
  /** As it was asked for. */
  readonly load: string;
  readonly sent: number;
  readonly ok: number;
  readonly errors: Readonly<Record<string, number>>;
  /** When the first hundred of them were seen, in milliseconds since 1970. */
  readonly failedAt: readonly number[];
  /** Connections that were opened; of `hold`, those that are still open. */
  readonly dials: number;
  /** Milliseconds until the answer. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** When connections of `hold` ended, in milliseconds since 1970. */
  readonly cuts: readonly number[];
}

export class GoLoad implements AsyncDisposable {
  readonly #child: ReturnType<typeof startKubectl>;
  readonly #reports: GoReport[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #said = '';

  private constructor(namespace: string, pod: string, loads: readonly string[]) {
    this.#child = startKubectl('-n', namespace, 'exec', '-i', pod, '--', '/go', 'load', ...loads);
    this.#child.stderr?.on('data', (text: Buffer) => {
      this.#said += text.toString();
    });
    this.#child.once('close', () => this.#ended.resolve());
  }

  /** `loads` as load.go says. Resolves when they have begun. */
  static async start(namespace: string, pod: string, ...loads: readonly string[]): Promise<GoLoad> {
    const load = new GoLoad(namespace, pod, loads);
    const begun = Promise.withResolvers<void>();
    const { stdout } = load.#child;
    assert.ok(stdout !== null);
    createInterface({ input: stdout }).on('line', (line) => {
      if (line === 'loads') {
        begun.resolve();
      } else {
        load.#reports.push(JSON.parse(line) as GoReport);
      }
    });
    await Promise.race([begun.promise, load.#ended.promise]);
    return load;
  }

  /** Ends them; one report each, in their order. */
  async stop(): Promise<readonly GoReport[]> {
    this.#child.stdin?.end();
    await this.#ended.promise;
    assert.notEqual(this.#reports.length, 0, `no report: ${this.#said}`);
    return this.#reports;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    stopProcess(this.#child, 'SIGKILL');
    await this.#ended.promise;
  }
}
