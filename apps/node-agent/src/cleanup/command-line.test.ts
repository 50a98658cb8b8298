import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseCommandLine } from './command-line.ts';

const DEFAULTS = { runDir: '/var/run/ambit', hostNetns: '/proc/self/ns/net', stopsAgent: false };

describe('parseCommandLine', () => {
  for (const [words, env, expected] of [
    ['', {}, { kind: 'serve' }],
    ['--help', {}, { kind: 'help' }],
    ['cleanup -h', {}, { kind: 'help' }],
    ['cleanup', {}, { kind: 'cleanup', settings: DEFAULTS }],
    [
      'cleanup --stop',
      { AMBIT_RUN_DIR: '/run/a', AMBIT_HOST_NETNS: '/proc/1/ns/net' },
      {
        kind: 'cleanup',
        settings: { runDir: '/run/a', hostNetns: '/proc/1/ns/net', stopsAgent: true },
      },
    ],
    [
      'cleanup',
      { AMBIT_CNI_BIN_DIR: '/bin', AMBIT_CNI_CONF_DIR: '/conf' },
      {
        kind: 'cleanup',
        settings: { ...DEFAULTS, cni: { binDir: '/bin', confDir: '/conf' } },
      },
    ],
    [
      'cleanup --run-dir /b --host-netns /c',
      { AMBIT_RUN_DIR: '/run/a' },
      { kind: 'cleanup', settings: { runDir: '/b', hostNetns: '/c', stopsAgent: false } },
    ],
    ['cleanup', { AMBIT_RUN_DIR: '' }, { kind: 'cleanup', settings: DEFAULTS }],
  ] as const) {
    it(`understands "${words}" with ${JSON.stringify(env)}`, () => {
      assert.deepEqual(parseCommandLine(words.split(' ').filter(Boolean), env), expected);
    });
  }

  for (const words of [
    'clean',
    'cleanup now',
    '--stop',
    '--run-dir /a',
    'cleanup --run-dir',
    'cleanup --run-dir relative',
    'cleanup --host-netns x',
    'cleanup --force',
    'cleanup --stop=yes',
  ]) {
    it(`refuses "${words}"`, () => {
      assert.equal(parseCommandLine(words.split(' '), {}).kind, 'wrong');
    });
  }

  it('takes any words', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (words) => parseCommandLine(words, {}).kind.length > 0),
    );
  });
});
