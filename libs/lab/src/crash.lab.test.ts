/** A lab whose supervisor is killed leaves nothing behind, and two labs do not see each other. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { LabClient } from './control-client.ts';
import { startDetached } from './detached.ts';
import { LabError } from './errors.ts';
import { labPaths } from './paths.ts';
import { labStart } from './start.ts';

const POD = `
apiVersion: v1
kind: Pod
metadata: { name: sleeper }
spec:
  containers:
    - name: main
      command: [sh, -c, 'sleep 1000000 & exec node -e "setInterval(() => {}, 1000)"']
`;

/** Of every process that mentions `text` in its command line or environment. */
function processesWith(text: string): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && entry !== String(process.pid))
    .filter((pid) => {
      try {
        const read = (file: string): string => readFileSync(`/proc/${pid}/${file}`, 'utf8');
        return `${read('cmdline')}${read('environ')}`.includes(text);
      } catch {
        // Ended meanwhile.
        return false;
      }
    });
}

function networkNamespaces(): Set<string> {
  const lines = execFileSync('lsns', ['-t', 'net', '-n', '-o', 'NS'], { encoding: 'utf8' });
  return new Set(lines.split('\n').map((line) => line.trim()));
}

/** Those that a supervisor holds: its lab's, and no one else's on this machine. */
function namespacesHeldBy(pid: number): string[] {
  const own = /\d+/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[0];
  const held = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return /^net:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
    } catch {
      // Closed meanwhile.
      return [];
    }
  });
  return [...new Set(held)].filter((namespace) => namespace !== own);
}

async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    if (await condition()) {
      return;
    }
    await systemClock.sleep(20);
  }
  assert.fail(`never: ${what}`);
}

describe('a detached lab', () => {
  let root: string;
  let folder: string;
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'ambit-lab-'));
    folder = join(root, 'yaml');
    mkdirSync(folder);
    writeFileSync(join(folder, 'pod.yaml'), POD);
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  const up = async (name: string): Promise<{ client: LabClient; pid: number }> => {
    const pid = await startDetached({ name, root, mesh: false, folder }, () => undefined);
    const client = new LabClient(labPaths(root, name), name);
    await eventually('the pod is ready', async () => (await client.status()).isSettled);
    return { client, pid };
  };
  it('runs beside another one, and each name is taken once', async () => {
    const one = await up('one');
    const two = await up('two');
    await assert.rejects(
      labStart({ name: 'one', root, mesh: false }),
      (error: unknown) => error instanceof LabError && error.code === 'LAB_ALREADY_RUNNING',
    );
    const addresses = await Promise.all(
      [one, two].map(async ({ client }) => (await client.status()).pods[0]?.addresses[0]),
    );
    assert.equal(addresses[0], addresses[1], 'the same address twice, and no clash');
    await two.client.down(systemClock);
    assert.equal(existsSync(join(root, 'two')), false, 'nothing is left of the second');
    assert.equal((await one.client.status()).isSettled, true, 'the first does not notice');
    const run = await one.client.exec('sleeper', [
      'node',
      '-e',
      'process.exit(require("os").hostname() === "sleeper" ? 7 : 1)',
    ]);
    const code = await new Promise((done) => run.once('exit', done));
    assert.equal(code, 7, 'a command runs in the pod');
    await one.client.down(systemClock);
  });

  it('leaves no process and no namespace when its supervisor is killed', async () => {
    const { pid } = await up('crash');
    const marker = join(root, 'crash');
    assert.ok(processesWith(marker).length > 0, 'the pod runs');
    const known = networkNamespaces();
    // Those that only the supervisor holds go with it; others have processes inside.
    const created = namespacesHeldBy(pid).filter((namespace) => known.has(namespace));
    assert.ok(created.length > 0, 'processes are in namespaces of the lab');

    process.kill(pid, 'SIGKILL');
    await eventually('its processes are gone', () => processesWith(marker).length === 0);
    await eventually('its namespaces are gone', () =>
      created.every((ns) => !networkNamespaces().has(ns)),
    );
    assert.ok(existsSync(marker), 'files are what a crash can leave');

    const again = await up('crash');
    assert.equal((await again.client.status()).pods.length, 1, 'the next start cleans up');
    await again.client.down(systemClock);
    assert.equal(existsSync(marker), false);
  });
});
