/** A lab of a person who is not root: the whole mesh in a user namespace, from the first command to the last. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chownSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

/** Nobody in particular: any account without rights will do. */
const USER = 61_234;
const ALL_IDS = 2 ** 32 - 1;
const ROOT = join(import.meta.dirname, '..', '..', '..', '..');
const MESHCTL = join(ROOT, 'apps', 'meshctl', 'src', 'main.ts');
const BOOKSHOP = join(ROOT, 'manifests', 'samples', 'bookshop');

const asUser = ['--reuid', String(USER), '--regid', String(USER), '--clear-groups', '--'];

/** Why another account cannot be tried here; undefined when it can. */
function obstacle(): string | undefined {
  const [, , count] = readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/);
  if (Number(count) !== ALL_IDS) {
    return 'these tests run in a user namespace themselves, so every lab of theirs shows it';
  }
  const reads = spawnSync('setpriv', [...asUser, process.execPath, MESHCTL, 'version', '--help']);
  return reads.status === 0 ? undefined : `another account cannot read ${ROOT}`;
}

const skip = obstacle();

describe('a lab without root', { skip: skip ?? false }, () => {
  let home: string;
  before(() => {
    home = mkdtempSync(join(tmpdir(), 'ambit-user-'));
    chownSync(home, USER, USER);
    // Owned by root and readable: the lab changes nothing in it.
    cpSync(BOOKSHOP, join(home, 'shop'), { recursive: true });
  });
  after(() => {
    meshctl('lab', 'down');
    rmSync(home, { recursive: true, force: true });
  });

  const meshctl = (...args: readonly string[]) => {
    const argv = [...asUser, process.execPath, MESHCTL, ...args];
    const { status, stdout, stderr } = spawnSync('setpriv', argv, {
      cwd: join(home, 'shop'),
      encoding: 'utf8',
      env: {
        PATH: '/usr/bin:/bin',
        HOME: home,
        AMBIT_LAB_ROOT: join(home, 'l'),
        // It cannot write the one of these tests.
        NODE_COMPILE_CACHE: join(home, 'cache'),
      },
    });
    return { status, stdout, said: `${stdout}${stderr}` };
  };
  const ask = () =>
    meshctl('lab', 'exec', 'client', '--', 'node', 'client.mjs', 'http://details/details/1');

  it('starts, and everything is ready and in force', () => {
    const up = meshctl('lab', 'up', '-f', join(home, 'shop'), '--detach');
    assert.equal(up.status, 0, up.said);
    assert.match(up.stdout, /everything is ready/);
    const status = meshctl('status');
    assert.equal(status.status, 0, status.said);
    assert.match(status.stdout, /everything is in force/);
  });

  it('carries requests through the mesh, and its policies refuse', () => {
    const before = ask();
    assert.equal(before.status, 0, before.said);
    assert.match(before.stdout, /"service":"details"/);
    writeFileSync(
      join(home, 'shop', 'nobody.yaml'),
      JSON.stringify({
        apiVersion: 'security.istio.io/v1',
        kind: 'AuthorizationPolicy',
        metadata: { name: 'nobody', namespace: 'shop' },
        spec: {},
      }),
    );
    const deadline = performance.now() + 20_000;
    while (ask().status === 0) {
      assert.ok(performance.now() < deadline, 'the policy is not in force');
    }
    const why = meshctl('why', 'shop/client', 'details.shop');
    assert.notEqual(why.status, 0, why.said);
    assert.match(why.stdout, /shop\/nobody/);
  });

  it('ends, and leaves no file', () => {
    const down = meshctl('lab', 'down');
    assert.equal(down.status, 0, down.said);
    assert.deepEqual(readdirSync(join(home, 'l')), []);
  });
});
