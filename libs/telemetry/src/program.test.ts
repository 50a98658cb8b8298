import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { packageVersion } from './program.ts';

/** A program that says what happens to it; `stop` is what its stop does. */
function programText(stop: string): string {
  return `
    import { failProgram, runProgram } from ${JSON.stringify(import.meta.resolve('./program.ts'))};
    const timer = setInterval(() => undefined, 1000);
    const build = () => ({
      start: async () => { if (process.argv[1] === 'broken') throw new Error('no start'); },
      stop: () => { process.stdout.write('stopping\\n'); return ${stop}; },
    });
    const options = { name: 'p', scope: 'p', logLevel: 'info', wallNow: Date.now, build };
    runProgram(options)
      .then((log) => log.info('up'))
      .catch((error) => failProgram('p', 'cannot start', error));
  `;
}

async function run(stop: string, argument: string, signals: readonly NodeJS.Signals[]) {
  const args = ['--input-type=module', '-e', programText(stop), argument];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const left = [...signals];
  let text = '';
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    errors += part;
  });
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
    const signal = left.shift();
    if (signal !== undefined) {
      child.kill(signal);
    }
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, text, errors };
}

describe('runProgram', () => {
  for (const [what, stop, argument, signals, code, errors] of [
    ['drains at a signal', 'Promise.resolve()', 'fine', ['SIGTERM'], 0, /^$/],
    [
      'ends at the second one',
      'new Promise(() => undefined)',
      'fine',
      ['SIGINT', 'SIGTERM'],
      1,
      /^$/,
    ],
    [
      'says why it cannot stop',
      "Promise.reject(new Error('stuck'))",
      'fine',
      ['SIGTERM'],
      1,
      /^p: cannot stop: stuck\n$/,
    ],
    [
      'says why it cannot start',
      'Promise.resolve()',
      'broken',
      [],
      1,
      /^p: cannot start: no start\n$/,
    ],
  ] as const) {
    it(what, async () => {
      const end = await run(stop, argument, signals);
      assert.equal(end.code, code);
      assert.match(end.errors, errors);
    });
  }
});

describe('packageVersion', () => {
  it('reads the manifest', () => {
    assert.match(packageVersion(new URL('../package.json', import.meta.url)), /^\d+\.\d+\.\d+$/);
  });
});
