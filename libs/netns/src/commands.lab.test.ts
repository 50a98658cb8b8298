import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { describe, it } from 'node:test';
import { applyNft, readSysctl, runIp, runNft, spawnInNetns, writeSysctl } from './commands.ts';
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
