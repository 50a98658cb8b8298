import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readlinkSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  applyNft,
  readSysctl,
  runIp,
  runNft,
  spawnInNetns,
  toolCounters,
  writeSysctl,
} from './commands.ts';
import { createNetns } from './netns.ts';

describe('spawnInNetns', () => {
  it('starts the child inside', async () => {
    using ns = createNetns();
    const child = spawnInNetns(ns, 'readlink', ['/proc/self/ns/net'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const chunks = await child.stdout?.setEncoding('utf8').toArray();
    assert.equal(chunks?.join('').trim(), readlinkSync(`/proc/self/fd/${ns.fd}`));
  });

  it('reports a missing program by the error event, from outside', async () => {
    using ns = createNetns();
    const child = spawnInNetns(ns, '/nonexistent/program', [], {});
    const [error] = (await once(child, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ENOENT');
  });
});

describe('applyNft', () => {
  it('applies all of a ruleset or nothing of it', async () => {
    using ns = createNetns();
    await applyNft(ns, 'table inet a { chain c { }; }');
    await assert.rejects(applyNft(ns, 'table inet b { }\ntable inet a { chain c { nonsense } }'), {
      code: 'NETNS_NFT_FAILED',
      message: /nft refused the rules[\s\S]*syntax error[\s\S]*table inet b/,
    });
    assert.doesNotMatch(await runNft(ns, ['list', 'tables']), /inet b/);
    assert.match(await runNft(ns, ['list', 'tables']), /inet a/);
  });

  it('acts on that namespace only', async () => {
    using a = createNetns();
    using b = createNetns();
    await applyNft(a, 'table inet only { }');
    assert.equal(await runNft(b, ['list', 'tables']), '');
  });
});

describe('a burst of commands', () => {
  it('starts few processes at once, and each namespace sees its own in order', async () => {
    const namespaces = Array.from({ length: 10 }, () => createNetns());
    const { started } = toolCounters();
    let most = 0;
    const change = async (ns: (typeof namespaces)[number]): Promise<string> => {
      for (const command of ['add', 'del', 'add']) {
        most = Math.max(most, toolCounters().running);
        await runIp(ns, ['addr', command, '10.9.0.1/32', 'dev', 'lo']);
      }
      return await runIp(ns, ['-o', 'addr', 'show', 'dev', 'lo']);
    };
    const addresses = namespaces.map((ns) => change(ns));
    assert.equal(toolCounters().running + toolCounters().waiting, 10);
    assert.ok(toolCounters().waiting > 0);
    for (const shown of await Promise.all(addresses)) {
      assert.match(shown, /10\.9\.0\.1/);
    }
    assert.ok(most <= 4, `${most} at once`);
    assert.deepEqual(toolCounters(), { running: 0, waiting: 0, started: started + 40 });
    for (const ns of namespaces) {
      ns[Symbol.dispose]();
    }
  });
});

describe('runIp', () => {
  it('returns the output', async () => {
    using ns = createNetns();
    assert.match(await runIp(ns, ['-o', 'link']), /^1: lo:/);
  });

  it('refuses with the words of ip', async () => {
    using ns = createNetns();
    await assert.rejects(runIp(ns, ['link', 'set', 'nope', 'up']), {
      code: 'NETNS_COMMAND_FAILED',
      message: /Cannot find device "nope"/,
    });
  });
});

describe('writeSysctl', () => {
  it('sets it in the namespace only', () => {
    using a = createNetns();
    using b = createNetns();
    writeSysctl(a, 'net.ipv4.tcp_migrate_req', '1');
    assert.equal(readSysctl(a, 'net.ipv4.tcp_migrate_req'), '1');
    assert.equal(readSysctl(b, 'net.ipv4.tcp_migrate_req'), '0');
  });

  for (const name of [
    'kernel.hostname',
    'net.ipv4/../../kernel.hostname',
    'net',
    'net.ipv4.nope',
  ]) {
    it(`refuses ${name}`, () => {
      using ns = createNetns();
      assert.throws(
        () => {
          writeSysctl(ns, name, 'x');
        },
        { code: 'NETNS_SYSCTL_FAILED' },
      );
    });
  }
});

describe('useProcDir', () => {
  const PROGRAM = `
import { createNetns, readSysctl, useProcDir, writeSysctl } from './index.ts';
const name = 'net.ipv4.tcp_migrate_req';
using a = createNetns();
using b = createNetns();
try {
  writeSysctl(a, name, '1');
  process.stdout.write('written ');
} catch (error) {
  process.stdout.write(error.errno + ' ');
}
useProcDir(process.argv[1]);
writeSysctl(a, name, '1');
process.stdout.write(readSysctl(a, name) + readSysctl(b, name));
`;

  it('writes where a container cannot, in the namespace only', () => {
    const dir = mkdtempSync(join(tmpdir(), 'ambit-proc-'));
    const script =
      'mount -t proc proc "$1" && mount -o bind /proc/sys /proc/sys && ' +
      'mount -o remount,bind,ro /proc/sys && exec "$2" --input-type=module -e "$3" "$1"';
    const args = ['-m', 'sh', '-ec', script, 'sh', dir, process.execPath, PROGRAM];
    const { stdout, stderr } = spawnSync('unshare', args, {
      cwd: import.meta.dirname,
      encoding: 'utf8',
    });
    rmdirSync(dir);
    assert.equal(stdout, 'EROFS 10', stderr);
  });
});
