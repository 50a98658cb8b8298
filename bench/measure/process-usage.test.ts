import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { descendantsOf, parseProcessStat, parseResidentBytes, usageOf } from './process-usage.ts';

const TAIL =
  'S 1 2 2 0 -1 4194304 100 200 0 0 150 50 7 9 20 0 12 0 900 1000 300 18446744073709551615';

describe('parseProcessStat', () => {
  it('reads the time of all threads, whatever the command is called', () => {
    for (const command of ['node', 'a b', ') S 1 (x', 'x) R 9 9', 'new\nline']) {
      const stat = parseProcessStat(`42 (${command}) ${TAIL}\n`);
      assert.deepEqual(stat, { pid: 42, command, parent: 1, cpuMs: 2_000 }, command);
    }
  });

  it('refuses what is no such line', () => {
    const table = ['', '42', '42 (node)', '42 (node) S', '42 (node) S 1 2 3', 'x (node) S 1', TAIL];
    for (const text of [...table, `42 (node) ${TAIL.replace('150', 'many')}`]) {
      assert.throws(() => parseProcessStat(text), RangeError, text);
    }
  });
});

describe('parseResidentBytes', () => {
  it('reads kilobytes', () => {
    assert.equal(parseResidentBytes('Name:\tnode\nVmHWM:\t  90 kB\nVmRSS:\t    64 kB\n'), 65_536);
  });

  it('refuses a process without memory, as one that just ended', () => {
    for (const text of ['', 'Name:\tkthreadd\n', 'VmRSS:\tmuch kB\n', 'XVmRSS: 1 kB']) {
      assert.throws(() => parseResidentBytes(text), RangeError, text);
    }
  });
});

describe('usageOf', () => {
  it('sums a process and what it started', async () => {
    const child = spawn('sh', ['-c', 'sleep 60 & echo up; wait'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const pid = child.pid ?? 0;
    await once(child.stdout, 'data');
    const below = descendantsOf(pid);
    assert.equal(below.length, 1);
    assert.ok(usageOf([pid]).residentBytes > usageOf(below).residentBytes);
    for (const one of below) {
      process.kill(one);
    }
    await once(child, 'close');
    assert.throws(() => usageOf([pid]), 'a process that is gone took its time with it');
  });
});
