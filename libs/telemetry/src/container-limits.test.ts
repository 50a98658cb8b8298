import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { readContainerLimits, workersFor } from './container-limits.ts';

const MIB = 2 ** 20;
const NONE_V1 = '9223372036854771712';
const V1 = '3:memory:/pods/a\n2:cpu,cpuacct:/pods/a\n1:name=systemd:/\n';

/** Files below a root of our own. */
function limitsOf(files: Readonly<Record<string, string>>) {
  const root = mkdtempSync(join(tmpdir(), 'ambit-limits-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return readContainerLimits(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

describe('readContainerLimits', () => {
  const cases: readonly (readonly [string, Record<string, string>, object])[] = [
    [
      'version 2 in a container, which sees its own group as the first',
      {
        'proc/self/cgroup': '0::/\n',
        'sys/fs/cgroup/cpu.max': '150000 100000\n',
        'sys/fs/cgroup/memory.max': '1073741824\n',
        'sys/fs/cgroup/memory.high': 'max\n',
      },
      { cpus: 1.5, memoryBytes: 1024 * MIB },
    ],
    [
      'the smallest of the groups above, and of memory.high',
      {
        'proc/self/cgroup': '0::/pods/a\n',
        'sys/fs/cgroup/pods/cpu.max': '400000 100000\n',
        'sys/fs/cgroup/pods/memory.max': `${900 * MIB}\n`,
        'sys/fs/cgroup/pods/a/cpu.max': 'max 100000\n',
        'sys/fs/cgroup/pods/a/memory.max': `${1000 * MIB}\n`,
        'sys/fs/cgroup/pods/a/memory.high': `${800 * MIB}\n`,
      },
      { cpus: 4, memoryBytes: 800 * MIB },
    ],
    [
      'version 1 by the path that the process has',
      {
        'proc/self/cgroup': V1,
        'sys/fs/cgroup/cpu/pods/a/cpu.cfs_quota_us': '50000\n',
        'sys/fs/cgroup/cpu/pods/a/cpu.cfs_period_us': '100000\n',
        'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
        'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
        'sys/fs/cgroup/memory/pods/a/memory.limit_in_bytes': `${64 * MIB}\n`,
        'sys/fs/cgroup/memory/memory.limit_in_bytes': `${NONE_V1}\n`,
      },
      { cpus: 0.5, memoryBytes: 64 * MIB },
    ],
    [
      'version 1 in a container, whose group is mounted at the root',
      {
        'proc/self/cgroup': V1,
        'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '200000\n',
        'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
        'sys/fs/cgroup/memory/memory.limit_in_bytes': `${512 * MIB}\n`,
      },
      { cpus: 2, memoryBytes: 512 * MIB },
    ],
    [
      'the second version of a machine with both',
      {
        'proc/self/cgroup': '1:name=systemd:/\n0::/pods/a\n',
        'sys/fs/cgroup/unified/pods/a/cpu.max': '300000 100000\n',
      },
      { cpus: 3 },
    ],
  ];
  for (const [what, files, expected] of cases) {
    it(`reads ${what}`, () => {
      assert.deepEqual(limitsOf(files), expected);
    });
  }

  const unlimited: readonly (readonly [string, Record<string, string>])[] = [
    ['nothing is mounted', {}],
    ['there is no file', { 'proc/self/cgroup': '0::/\n' }],
    ['the file is of another shape', { 'proc/self/cgroup': 'nonsense\n::\n' }],
    [
      'nothing is limited',
      {
        'proc/self/cgroup': '0::/\n',
        'sys/fs/cgroup/cpu.max': 'max 100000\n',
        'sys/fs/cgroup/memory.max': 'max\n',
      },
    ],
    [
      'numbers make no sense',
      {
        'proc/self/cgroup': '0::/\n',
        'sys/fs/cgroup/cpu.max': '100000 0\n',
        'sys/fs/cgroup/memory.max': '\n',
        'sys/fs/cgroup/memory.high': '-5\n',
      },
    ],
    [
      'version 1 says so by a large number',
      { 'proc/self/cgroup': V1, 'sys/fs/cgroup/memory/memory.limit_in_bytes': `${NONE_V1}\n` },
    ],
  ];
  for (const [what, files] of unlimited) {
    it(`finds no bound where ${what}`, () => {
      assert.deepEqual(limitsOf(files), {});
    });
  }
});

describe('workersFor', () => {
  const cases = [
    [undefined, 1],
    [0.1, 1],
    [1, 1],
    [1.01, 2],
    [2, 2],
    [7.5, 8],
    [64, 16],
  ] as const;
  for (const [cpus, expected] of cases) {
    it(`makes ${expected} of ${cpus ?? 'no bound'}`, () => {
      assert.equal(workersFor(cpus === undefined ? {} : { cpus }, 16), expected);
    });
  }
});
