/**
 * Makes a fresh clone ready to run: system tools, packages, the pinned Node. Silent when nothing is missing.
 *
 * Plain JavaScript for Node 18 and later, because it runs before `npm ci` brings the pinned one.
 * System tools come first: without them it prints one command and touches nothing. The argument says for what: `test` asks
 * for Go too, which builds the programs that test ours, for nginx, whose parser ours is compared with, and for HAProxy, which
 * is a waypoint of somebody else; `cluster` for all that `npm run test:cluster` needs, compilers of the programs that run in
 * pods, and of the cluster itself.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stampFile = join(root, 'node_modules', '.ambit-setup');
const pinnedNode = join(root, 'node_modules', '.bin', 'node');
const isForCluster = process.argv.includes('cluster');
const isForTests = isForCluster || process.argv.includes('test');

/** Command → Debian package. */
const TOOLS = {
  ip: 'iproute2',
  nft: 'nftables',
  tcpdump: 'tcpdump',
  unshare: 'util-linux',
  setpriv: 'util-linux',
  nsenter: 'util-linux',
  mount: 'mount',
  openssl: 'openssl',
  xz: 'xz-utils',
};

const TEST_TOOLS = { go: 'golang-go', nginx: 'nginx-light', haproxy: 'haproxy' };

/** For tests on Kubernetes; the second only where no cluster is given and one is built. */
const CLUSTER_TOOLS = { gcc: 'gcc libc6-dev' };
const CLUSTER_BUILD_TOOLS = { 'pkg-config': 'pkg-config', iptables: 'iptables', curl: 'curl' };
/** From this on Go fetches by itself the version that a module asks for. */
const GO_MINOR_MIN = 21;

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Absent and not executable are the same to the caller.
    return false;
  }
}

/** Debian keeps `ip` and `nft` in sbin, which an ordinary user's PATH lacks. */
function hasCommand(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/bin'];
  return folders.some((folder) => folder !== '' && isExecutable(join(folder, name)));
}

function stop(message) {
  console.error(message);
  process.exit(1);
}

function run(command, args, env = {}) {
  return spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    maxBuffer: 64 * 1024 * 1024,
  });
}

function outputOf(result) {
  return `${result.error ?? ''}${result.stdout ?? ''}${result.stderr ?? ''}`.trim();
}

function wantedTools() {
  if (!isForCluster) {
    return isForTests ? { ...TOOLS, ...TEST_TOOLS } : TOOLS;
  }
  const isGiven = Boolean(process.env.AMBIT_TEST_KUBECONFIG || process.env.KUBECONFIG);
  return { ...TOOLS, ...TEST_TOOLS, ...CLUSTER_TOOLS, ...(isGiven ? {} : CLUSTER_BUILD_TOOLS) };
}

function missingPackages() {
  const missing = Object.entries(wantedTools()).filter(([command]) => !hasCommand(command));
  return [...new Set(missing.flatMap(([, debianPackages]) => debianPackages.split(' ')))];
}

function installTools() {
  if (process.platform !== 'linux') {
    stop('setup: Ambit runs on Linux only (network namespaces, nftables)');
  }
  const packages = missingPackages();
  if (packages.length === 0) {
    return;
  }
  const isRoot = process.getuid?.() === 0;
  const command = `apt-get update && apt-get install -y --no-install-recommends ${packages.join(' ')}`;
  if (!hasCommand('apt-get')) {
    stop(`setup: install what these Debian packages hold: ${packages.join(' ')}`);
  }
  if (!isRoot) {
    stop(`setup: missing system packages; run this, then try again:\n  sudo sh -c '${command}'`);
  }
  console.error(`setup: installing ${packages.join(' ')}`);
  // In "runlevel 1" Debian installs services without starting them.
  const quiet = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const args = ['install', '-y', '-q', '--no-install-recommends', ...packages];
  if (run('apt-get', args, quiet).status !== 0) {
    // Most often the package lists are absent or old, as in a new container.
    run('apt-get', ['update', '-q'], quiet);
    const second = run('apt-get', args, quiet);
    if (second.status !== 0) {
      stop(`${outputOf(second)}\nsetup: apt-get failed; run this by hand:\n  ${command}`);
    }
  }
  const left = missingPackages();
  if (left.length > 0) {
    stop(`setup: still missing after apt-get: ${left.join(' ')}`);
  }
}

/** Debian's own Go may be too old. */
function checkGo() {
  const said = outputOf(run('go', ['version']));
  const minor = Number(/go1\.(\d+)/.exec(said)?.[1] ?? 0);
  if (minor < GO_MINOR_MIN) {
    stop(
      `setup: tests need Go 1.${GO_MINOR_MIN} or later, found: ${said || 'none'}\n  see https://go.dev/doc/install`,
    );
  }
}

/** True when every package that the lockfile demands is installed at its version. */
function isInstalled(lockText) {
  try {
    const wanted = JSON.parse(lockText).packages;
    const hidden = readFileSync(join(root, 'node_modules', '.package-lock.json'), 'utf8');
    const installed = JSON.parse(hidden).packages;
    return Object.entries(wanted).every(([path, entry]) => {
      if (!path.startsWith('node_modules/') || entry.optional === true) {
        return true;
      }
      return entry.link === true
        ? installed[path]?.resolved === entry.resolved
        : installed[path]?.version === entry.version;
    });
  } catch {
    // No node_modules, or one that npm did not finish: install again.
    return false;
  }
}

function readStamp() {
  try {
    return readFileSync(stampFile, 'utf8').trim();
  } catch {
    return '';
  }
}

function pinnedVersion() {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return manifest.optionalDependencies[`node-linux-${process.arch}`];
}

function hasPinnedNode(version) {
  return (
    isExecutable(pinnedNode) && run(pinnedNode, ['--version']).stdout?.trim() === `v${version}`
  );
}

function installPackages() {
  const version = pinnedVersion();
  if (version === undefined) {
    stop(`setup: no pinned Node for ${process.arch}; x64 and arm64 are supported`);
  }
  const lockText = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const stamp = createHash('sha256').update(lockText).digest('hex');
  if (readStamp() === stamp && hasPinnedNode(version)) {
    return;
  }
  if (!isInstalled(lockText) || !hasPinnedNode(version)) {
    console.error('setup: npm ci');
    const installed = run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
    if (installed.status !== 0) {
      stop(`${outputOf(installed)}\nsetup: npm ci failed`);
    }
    if (!hasPinnedNode(version)) {
      stop(
        `setup: npm ci did not bring Node ${version} to node_modules/.bin/node; was --omit=optional set?`,
      );
    }
  }
  writeFileSync(stampFile, `${stamp}\n`);
}

installTools();
if (isForTests) {
  checkGo();
}
installPackages();
