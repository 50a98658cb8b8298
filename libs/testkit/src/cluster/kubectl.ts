/** kubectl as a process: $AMBIT_KUBECTL, words apart by blanks, default `kubectl`. The cluster is that of $KUBECONFIG. */
import { type ChildProcess, spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** In a process group of its own: the command may be a script around kubectl. End it with `stopProcess`. */
export function startKubectl(...args: readonly string[]): ChildProcess {
  const [command = 'kubectl', ...first] = (process.env['AMBIT_KUBECTL'] ?? 'kubectl').split(' ');
  return spawn(command, [...first, ...args], { stdio: 'pipe', detached: true });
}

/** False if it has ended already. */
export function stopProcess(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): boolean {
  try {
    return child.pid !== undefined && process.kill(-child.pid, signal);
  } catch {
    // Nobody is left in the group.
    return false;
  }
}

/** Never rejects for what the command answers; `code` says. */
export async function tryKubectl(args: readonly string[], stdin = ''): Promise<Ran> {
  return await finish(startKubectl(...args), stdin);
}

/** Rejects, with what it said, unless it ends with 0. */
export async function kubectl(args: readonly string[], stdin = ''): Promise<string> {
  const { code, stdout, stderr } = await tryKubectl(args, stdin);
  if (code !== 0) {
    throw new Error(`kubectl ${args.join(' ')}: ${code}\n${stderr}${stdout}`);
  }
  return stdout;
}

export async function finish(child: ChildProcess, stdin = ''): Promise<Ran> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) {
    throw new TypeError('the process has no pipes');
  }
  // A command that ends before it has read everything is judged by its exit code.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(stdin);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  const [out, err, code] = await Promise.all([text(stdout), text(stderr), ended]);
  return { code, stdout: out, stderr: err };
}
