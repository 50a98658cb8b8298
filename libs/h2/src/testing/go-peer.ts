/** The peer in Go (go-peer/), built once a version of its sources. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { goProgram } from '@ambit/core/go-programs';

const FOLDER = join(import.meta.dirname, 'go-peer');
const MODULE = 'golang.org/x/net@v0.62.0';

/** net/http's own HTTP/2, and that of golang.org/x/net. */
export const GO_PEERS = ['std', 'x'] as const;
export type GoPeerKind = (typeof GO_PEERS)[number];

/** Path of the program. Throws, and so fails the test, without Go. */
export function goPeerProgram(): string {
  const sources = Object.fromEntries(
    readdirSync(FOLDER).map((file) => [file, readFileSync(join(FOLDER, file), 'utf8')]),
  );
  const hash = createHash('sha256').update(MODULE).update(JSON.stringify(sources));
  const version = hash.digest('hex').slice(0, 12);
  return goProgram({ name: 'h2-peer', version, modules: [MODULE], build: '.', sources });
}

export class GoPeer implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: AsyncIterator<string>;
  #errors = '';

  private constructor(args: readonly string[]) {
    this.#child = spawn(goPeerProgram(), args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  static async server(kind: GoPeerKind): Promise<{ readonly peer: GoPeer; readonly port: number }> {
    const peer = new GoPeer(['server', kind]);
    return { peer, port: Number(/^port (\d+)$/.exec(await peer.line())?.[1]) };
  }

  static client(kind: GoPeerKind, port: number): GoPeer {
    return new GoPeer(['client', kind, String(port)]);
  }

  get errors(): string {
    return this.#errors;
  }

  send(value: unknown): void {
    this.#child.stdin.write(`${JSON.stringify(value)}\n`);
  }

  /** Throws when the program has ended. */
  async line(): Promise<string> {
    const { done, value } = await this.#lines.next();
    if (done === true) {
      throw new Error(`the peer ended: ${this.#errors.slice(-2_000)}`);
    }
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#child.once('close', () => resolve());
    this.#child.kill('SIGKILL');
    await promise;
  }
}
