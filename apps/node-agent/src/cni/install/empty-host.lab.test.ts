/** The plugin where there is nothing else: no shell, no library, no Node. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { findPayload, installPlugin } from './plugin-files.ts';

const repository = resolve(import.meta.dirname, '../../../../..');
const HOST_BIN = '/opt/cni/bin';

let folder = '';
/** Becomes the root folder of the host. */
let host = '';

/** What the dynamic loader takes for a program, as `ldd` lists it. */
function librariesOf(program: string): readonly string[] {
  const said = execFileSync('ldd', [program], { encoding: 'utf8' });
  return [...said.matchAll(/(\/\S+)\s+\(0x/g)].flatMap(([, path]) => path ?? []);
}

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-empty-'));
  host = join(folder, 'host');
  const payload = join(folder, 'payload');
  const binDir = join(host, HOST_BIN);
  mkdirSync(binDir, { recursive: true });
  mkdirSync(payload);
  mkdirSync(join(host, 'run'));
  const esbuild = join(repository, 'node_modules/.bin/esbuild');
  const plugin = join(import.meta.dirname, '../plugin/main.ts');
  const options = ['--bundle', '--platform=node', '--format=cjs', '--log-level=error'];
  execFileSync(esbuild, [plugin, ...options, `--outfile=${join(payload, 'cni.cjs')}`]);
  const libraries = librariesOf(process.execPath);
  const loader = libraries.find((path) => basename(path).startsWith('ld-'));
  const runtime = { node: process.execPath, loader, libraries };
  writeFileSync(join(payload, 'cni-runtime.json'), JSON.stringify(runtime));
  const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
  installPlugin(findPayload(payload, '/none'), { binDir, hostBinDir: HOST_BIN }, arch);
});
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

function run(env: Record<string, string>, config: object) {
  const input = JSON.stringify({ cniVersion: '1.0.0', name: 'n', runDir: '/run', ...config });
  return spawnSync('chroot', [host, `${HOST_BIN}/ambit-cni`], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    input,
    encoding: 'utf8',
  });
}

describe('the plugin on an empty host', () => {
  it('runs on what it brought', () => {
    const { stdout, stderr, status } = run({ CNI_COMMAND: 'VERSION' }, {});
    assert.equal(status, 0, stderr);
    assert.match(stdout, /"supportedVersions"/);
  });

  it('holds a pod back and says so on its standard output and in its log', () => {
    const pod = 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=cart';
    const sandbox = { CNI_CONTAINERID: 'c', CNI_NETNS: '/run/netns/x', CNI_IFNAME: 'eth0' };
    const env = { CNI_COMMAND: 'ADD', CNI_ARGS: pod, ...sandbox };
    const { stdout, status } = run(env, { prevResult: {} });
    assert.equal(status, 1);
    assert.match(stdout, /"code":11/);
    assert.match(readFileSync(join(host, 'run/cni.log'), 'utf8'), /shop\/cart/);
  });
});
