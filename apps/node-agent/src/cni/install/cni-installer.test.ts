import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import { CniInstaller, uninstallCni } from './cni-installer.ts';
import { PLUGIN_TYPE, type PluginEntry } from './conflist.ts';
import { buildLauncher } from './launcher.ts';
import { installEntry } from './network-config.ts';
import { findPayload, installedVersion, installPlugin, removeOldVersions } from './plugin-files.ts';

const ENTRY: PluginEntry = {
  type: PLUGIN_TYPE,
  runDir: '/run/x',
  exemptNamespaces: [],
  agentPods: 'm/a-',
};
const LIST = '{\n  "name": "n",\n  "plugins": [\n    {"type": "ptp"}\n  ]\n}\n';
const ARCH = process.arch === 'arm64' ? 'arm64' : 'x64';

let root = '';
let confDir = '';
let binDir = '';
let payloadDir = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ambit-install-'));
  confDir = join(root, 'net.d');
  binDir = join(root, 'bin');
  payloadDir = join(root, 'payload');
  for (const folder of [confDir, binDir, payloadDir]) {
    mkdirSync(folder);
  }
  payload('first');
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

/** A program in place of Node, which says how it was called. */
function payload(version: string): void {
  const script = `#!/bin/sh\necho ${version} "$VALUE" "$(basename "$1")"\n`;
  writeFileSync(join(payloadDir, 'node'), script, { mode: 0o755 });
  writeFileSync(join(payloadDir, 'cni.cjs'), `// ${version}\n`);
  const runtime = { node: join(payloadDir, 'node'), libraries: [] };
  writeFileSync(join(payloadDir, 'cni-runtime.json'), JSON.stringify(runtime));
}

const conf = (name: string): string => join(confDir, name);
const install = (): string =>
  installPlugin(findPayload(payloadDir, '/none'), { binDir, hostBinDir: binDir }, ARCH);

describe('buildLauncher', () => {
  it('becomes the program, with its arguments and its environment', () => {
    const path = join(root, 'launcher');
    const program = [
      process.execPath,
      '-p',
      'JSON.stringify([process.env.A,process.argv[1]])',
      'b c',
    ];
    writeFileSync(path, buildLauncher(ARCH, program), { mode: 0o755 });
    const said = execFileSync(path, ['ignored'], { env: { A: 'x y' }, encoding: 'utf8' });
    assert.equal(said, '["x y","b c"]\n');
    writeFileSync(path, buildLauncher(ARCH, [join(root, 'absent')]), { mode: 0o755 });
    assert.equal(spawnSync(path).status, 127);
  });

  it('is built for the other architecture too, and refuses what is no program', () => {
    assert.equal(Buffer.from(buildLauncher('arm64', ['/x'])).readUInt16LE(18), 183);
    for (const argv of [[], [''], ['/x', 'a\0b']]) {
      assert.throws(() => buildLauncher('x64', argv), RangeError);
    }
  });
});

describe('the plugin’s files', () => {
  it('are complete before the entry points to them, and again the same for the same content', () => {
    const version = install();
    assert.equal(installedVersion(binDir), version);
    const said = execFileSync(join(binDir, PLUGIN_TYPE), {
      env: { VALUE: '7', PATH: '/bin:/usr/bin' },
    });
    assert.equal(said.toString(), 'first 7 cni.cjs\n');
    const { ino } = statSync(join(binDir, PLUGIN_TYPE));
    assert.equal(install(), version);
    assert.equal(statSync(join(binDir, PLUGIN_TYPE)).ino, ino);
  });

  it('of an older version stay until nothing starts them, whoever asks', () => {
    const first = install();
    payload('second');
    const second = install();
    assert.deepEqual(readdirSync(join(binDir, '.ambit-cni')).sort(), [first, second].sort());
    assert.deepEqual(removeOldVersions(binDir), [first]);
    assert.equal(installedVersion(binDir), second);
    assert.deepEqual(removeOldVersions(binDir), []);
  });

  it('are not installed through a link, nor without a plugin', () => {
    symlinkSync(root, join(binDir, '.ambit-cni'));
    assert.throws(install, { name: 'FileRefusedError' });
    rmSync(join(payloadDir, 'cni.cjs'));
    assert.throws(() => findPayload(payloadDir, '/node'), { name: 'FileRefusedError' });
    // A link in place of the entry is replaced, not followed.
    payload('third');
    rmSync(join(binDir, '.ambit-cni'));
    writeFileSync(join(root, 'victim'), 'untouched');
    symlinkSync(join(root, 'victim'), join(binDir, PLUGIN_TYPE));
    install();
    assert.equal(readFileSync(join(root, 'victim'), 'utf8'), 'untouched');
  });
});

describe('the network configuration', () => {
  it('that comes first by name counts, with its mode', () => {
    writeFileSync(conf('20-b.conflist'), LIST);
    writeFileSync(conf('10-a.conflist'), LIST);
    chmodSync(conf('10-a.conflist'), 0o640);
    writeFileSync(conf('05-note.txt'), 'x');
    assert.deepEqual(installEntry(confDir, ENTRY), {
      kind: 'installed',
      file: '10-a.conflist',
      isChanged: true,
    });
    assert.equal(statSync(conf('10-a.conflist')).mode & 0o777, 0o640);
    assert.equal(readFileSync(conf('20-b.conflist'), 'utf8'), LIST);
    const again = installEntry(confDir, ENTRY);
    assert.equal(again.kind === 'installed' && again.isChanged, false);
    assert.deepEqual(readdirSync(confDir).length, 3, 'nothing temporary is left');
  });

  it('is awaited, and refused where it is a link, a folder or no configuration', () => {
    assert.equal(installEntry(confDir, ENTRY).kind, 'waiting');
    assert.equal(installEntry(join(root, 'none'), ENTRY).kind, 'waiting');
    writeFileSync(join(root, 'target'), LIST);
    const make: readonly (() => void)[] = [
      () => symlinkSync(join(root, 'target'), conf('10-a.conflist')),
      () => mkdirSync(conf('10-a.conflist')),
      () => writeFileSync(conf('10-a.conflist'), LIST.slice(0, 20)),
      () => writeFileSync(conf('10-a.conflist'), '{"plugins":[]}'),
      () => writeFileSync(conf('10-a.conf'), '{"name":"x"}'),
    ];
    for (const one of make) {
      rmSync(confDir, { recursive: true });
      mkdirSync(confDir);
      one();
      assert.equal(installEntry(confDir, ENTRY).kind, 'refused');
    }
    assert.equal(readFileSync(join(root, 'target'), 'utf8'), LIST);
  });

  it('of a single plugin becomes a list, and comes back', () => {
    const single = '{"cniVersion":"0.3.1","name":"net","type":"bridge"}';
    for (const ending of ['conf', 'json']) {
      writeFileSync(conf(`10-a.${ending}`), single);
      const state = installEntry(confDir, ENTRY);
      assert.equal(state.kind === 'installed' && state.file, '10-a.conflist');
      assert.deepEqual(
        readdirSync(confDir).sort(),
        [`10-a.${ending}.before-ambit`, '10-a.conflist'].sort(),
      );
      uninstallCni({ binDir, confDir });
      assert.deepEqual(readdirSync(confDir), [`10-a.${ending}`]);
      assert.equal(readFileSync(conf(`10-a.${ending}`), 'utf8'), single);
      rmSync(conf(`10-a.${ending}`));
    }
  });

  it('is as before after the end, and so is the folder of plugins', () => {
    const istio = LIST.replace('{"type": "ptp"}', '{"type": "ptp"},\n    {"type": "istio-cni"}');
    writeFileSync(conf('10-a.conflist'), istio);
    writeFileSync(join(binDir, 'ptp'), 'other');
    install();
    installEntry(confDir, ENTRY);
    assert.deepEqual(uninstallCni({ binDir, confDir }), ['10-a.conflist']);
    assert.equal(readFileSync(conf('10-a.conflist'), 'utf8'), istio);
    assert.deepEqual(readdirSync(binDir), ['ptp']);
    assert.deepEqual(uninstallCni({ binDir, confDir }), []);
  });
});

function installer(clock: FakeClock | typeof systemClock, isNeeded = () => true) {
  const log = { scoped: () => log, info() {}, warn() {}, error() {}, debug() {} };
  const state = { isSuperseded: false };
  const made = new CniInstaller({
    clock,
    log: log as never,
    places: { binDir, confDir, hostBinDir: binDir },
    payload: () => findPayload(payloadDir, '/none'),
    entry: ENTRY,
    arch: ARCH,
    isNeeded,
    isSuperseded: () => state.isSuperseded,
    onChange: () => undefined,
  });
  return { made, state };
}

/** Lets the loop come to its next wait, and then lets that much time pass. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 500) {
    for (let count = 0; count < 20; count++) {
      await Promise.resolve();
    }
    clock.advance(500);
  }
  for (let count = 0; count < 20; count++) {
    await Promise.resolve();
  }
}

const isIn = (): boolean => readFileSync(conf('10-a.conflist'), 'utf8').includes(PLUGIN_TYPE);

describe('CniInstaller', () => {
  it('waits for a network, puts itself in, and again when the file was written over', async () => {
    const clock = new FakeClock();
    const { made } = installer(clock);
    made.start();
    assert.match(made.problem ?? '', /no network configuration/);
    writeFileSync(conf('10-a.conflist'), LIST);
    await pass(clock, 17_000);
    assert.equal(made.problem, undefined);
    assert.ok(isIn());
    writeFileSync(conf('10-a.conflist'), LIST);
    await pass(clock, 17_000);
    assert.ok(isIn());
    assert.equal(made.counters.reinserted, 1);
    // Somebody cleaned the folder of plugins.
    rmSync(join(binDir, PLUGIN_TYPE));
    await pass(clock, 17_000);
    assert.ok(existsSync(join(binDir, PLUGIN_TYPE)));
    await made.stop();
    assert.ok(isIn(), 'an agent that ends leaves it');
  });

  it('does not fight: it waits longer, and says who does not let it', async () => {
    const clock = new FakeClock();
    writeFileSync(conf('10-a.conflist'), LIST);
    const { made } = installer(clock);
    made.start();
    let rounds = 0;
    for (let second = 0; second < 120; second++) {
      if (isIn()) {
        rounds += 1;
        writeFileSync(conf('10-a.conflist'), LIST);
        made.wake();
      }
      await pass(clock, 1_000);
    }
    assert.ok(rounds > 5 && rounds < 20, `${rounds} rounds in two minutes`);
    assert.match(made.problem ?? '', /keeps writing 10-a.conflist over without ambit-cni/);
    await made.stop();
  });

  it('leaves the node to its successor, and to nobody before it could answer', async () => {
    const clock = new FakeClock();
    writeFileSync(conf('10-a.conflist'), LIST);
    let isNeeded = false;
    const { made, state } = installer(clock, () => isNeeded);
    made.start();
    await pass(clock, 1_000);
    assert.match(made.problem ?? '', /no controller/);
    assert.equal(isIn(), false);
    isNeeded = true;
    made.wake();
    await pass(clock, 2_000);
    assert.ok(isIn());
    state.isSuperseded = true;
    writeFileSync(conf('10-a.conflist'), LIST);
    await pass(clock, 40_000);
    assert.equal(isIn(), false);
    await made.stop();
  });

  it('takes away an older version after a while, and only then', async () => {
    const clock = new FakeClock();
    writeFileSync(conf('10-a.conflist'), LIST);
    const first = install();
    payload('second');
    const { made } = installer(clock);
    made.start();
    await pass(clock, 60_000);
    assert.equal(readdirSync(join(binDir, '.ambit-cni')).length, 2);
    await pass(clock, 90_000);
    assert.deepEqual(readdirSync(join(binDir, '.ambit-cni')), [installedVersion(binDir)]);
    assert.notEqual(installedVersion(binDir), first);
    await made.stop();
  });

  it('hears of changes in the folder', async () => {
    writeFileSync(conf('10-a.conflist'), LIST);
    const { made } = installer(systemClock);
    made.start();
    assert.ok(isIn());
    writeFileSync(conf('10-a.conflist'), LIST);
    // Far less than the poll.
    const deadline = systemClock.now() + 8_000;
    while (!isIn() && systemClock.now() < deadline) {
      await systemClock.sleep(50);
    }
    assert.ok(isIn(), basename(confDir));
    await made.stop();
  });
});
