import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LabError } from './errors.ts';
import { labPaths, labsRoot, waypointFolder } from './paths.ts';

describe('labPaths', () => {
  for (const name of ['default', 'a', 'two-words', 'x'.repeat(32)]) {
    it(`takes the name "${name}"`, () => {
      assert.equal(labPaths('/run/labs', name).root, `/run/labs/${name}`);
    });
  }
  for (const name of ['', '..', '.', 'a/b', '-a', 'a-', 'A', 'a b', 'x'.repeat(33), 'a\n']) {
    it(`refuses the name ${JSON.stringify(name)}`, () => {
      assert.throws(() => labPaths('/run/labs', name), LabError);
    });
  }

  it('refuses a folder in which a unix socket would have too long a path', () => {
    assert.throws(() => labPaths(`/${'x'.repeat(80)}`, 'default'), /AMBIT_LAB_ROOT/);
  });
});

describe('labsRoot', () => {
  it('is a setting, else the runtime folder, else a folder of the user in /tmp', () => {
    const env = { AMBIT_LAB_ROOT: '/labs', XDG_RUNTIME_DIR: '/run/user/7' };
    assert.equal(labsRoot(env, 7), '/labs');
    assert.equal(labsRoot({ XDG_RUNTIME_DIR: '/run/user/7' }, 7), '/run/user/7/ambit-lab-7');
    assert.equal(labsRoot({}, 7), '/tmp/ambit-lab-7');
  });
});

describe('waypointFolder', () => {
  const paths = labPaths('/tmp/ambit-lab-0', 'default');

  it('is named after the waypoint', () => {
    assert.equal(waypointFolder(paths, 'shop', 'waypoint'), `${paths.waypoints}/shop.waypoint`);
  });

  it('stays short enough for a socket, and differs, for long names', () => {
    const a = waypointFolder(paths, 'n'.repeat(63), 'a'.repeat(63));
    const b = waypointFolder(paths, 'n'.repeat(63), 'b'.repeat(63));
    assert.ok(`${a}/admin.sock`.length <= 100);
    assert.notEqual(a, b);
  });
});
