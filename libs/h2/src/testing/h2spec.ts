/** h2spec, built from its Go module at a pinned version, and a run of it. */
import { spawn } from 'node:child_process';
import { goProgram } from '@ambit/core/go-programs';

const VERSION = 'v2.2.1';

/** Path of the program. Throws, and so fails the test, without Go. */
export function h2specProgram(): string {
  return goProgram({
    name: 'h2spec',
    version: VERSION,
    modules: [
      `github.com/summerwind/h2spec@${VERSION}+incompatible`,
      // The module is older than go.mod and names no versions of what it uses.
      'github.com/fatih/color@v1.19.0',
      'github.com/spf13/cobra@v1.10.2',
      'golang.org/x/net@v0.62.0',
    ],
    build: 'github.com/summerwind/h2spec/cmd/h2spec',
  });
}

export interface H2specResult {
  readonly passed: number;
  readonly skipped: number;
  readonly failed: number;
  /** What it says of the cases that failed. */
  readonly report: string;
}

/** Every case, strict, against a server that answers GET and POST on `/` with a body. */
export async function runH2spec(
  program: string,
  target: { readonly host: string; readonly port: number },
): Promise<H2specResult> {
  const { host, port } = target;
  const args = ['-h', host, '-p', String(port), '--strict', '-o', '5'];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  const keep = (chunk: Buffer): void => {
    text += chunk.toString();
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.once('error', reject);
  child.once('close', () => resolve());
  await promise;
  const counts = /(\d+) passed, (\d+) skipped, (\d+) failed/.exec(text);
  if (counts === null) {
    throw new Error(`h2spec said no result: ${text.slice(-500)}`);
  }
  const [, passed, skipped, failed] = counts;
  const at = text.indexOf('Failures:');
  return {
    passed: Number(passed),
    skipped: Number(skipped),
    failed: Number(failed),
    report: at === -1 ? '' : text.slice(at),
  };
}
