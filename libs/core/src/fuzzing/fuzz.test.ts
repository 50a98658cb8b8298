import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fuzz, fuzzSettings } from './fuzz.ts';
import { cutAnyhow, type InputFormat, makeInput } from './mutate.ts';
import { Random } from './random.ts';

const FORMAT: InputFormat = {
  seeds: [[Buffer.from('GET / HTTP/1.1\r\n'), Buffer.from('Host: a\r\n')], [Buffer.from('xyz')]],
  tokens: [Buffer.from('\0'), Buffer.from('chunked')],
  changePart: (part) => Buffer.from(part).reverse(),
  bytesMax: 400,
};
const SETTINGS = { inputs: 300, seconds: 0, seed: 5, index: undefined };

const inputs = (seed: number): string[] =>
  Array.from({ length: 200 }, (_, index) =>
    Buffer.concat(makeInput(new Random(seed, index), FORMAT)).toString('latin1'),
  );

describe('Random', () => {
  it('says the same for the same seed and number, and something else for others', () => {
    const numbers = (seed: number, index: number): string => {
      const random = new Random(seed, index);
      return Array.from({ length: 5 }, () => random.next()).join();
    };
    assert.equal(numbers(1, 2), numbers(1, 2));
    assert.equal(new Set([numbers(1, 2), numbers(2, 1), numbers(1, 3), numbers(0, 0)]).size, 4);
  });

  it('reaches every number below a limit and none above', () => {
    const random = new Random(1);
    const seen = new Set(Array.from({ length: 500 }, () => random.below(7)));
    assert.deepEqual([...seen].sort(), [0, 1, 2, 3, 4, 5, 6]);
    assert.equal(random.below(0), 0);
    assert.throws(() => random.pick([]), RangeError);
  });
});

describe('makeInput', () => {
  it('makes the same of the same seed, hardly ever the same twice, and never too much', () => {
    assert.deepEqual(inputs(1), inputs(1));
    assert.ok(new Set(inputs(1)).size > 120, String(new Set(inputs(1)).size));
    assert.ok(inputs(1).every((text) => text.length <= FORMAT.bytesMax));
    assert.notDeepEqual(inputs(1), inputs(2));
  });

  it('does not change seeds', () => {
    const before = JSON.stringify(FORMAT.seeds);
    inputs(3);
    assert.equal(JSON.stringify(FORMAT.seeds), before);
  });
});

describe('cutAnyhow', () => {
  it('loses nothing', () => {
    const bytes = new Random(1).bytes(3_000);
    for (let index = 0; index < 30; index += 1) {
      assert.deepEqual(Buffer.concat(cutAnyhow(bytes, new Random(1, index))), bytes);
    }
  });
});

describe('fuzz', () => {
  const target = {
    name: 'numbers',
    share: 0.5,
    make: (random: Random) => random.below(10),
    show: String,
  };

  it('gives a target its share of inputs', async () => {
    const seen: number[] = [];
    const report = await fuzz({ ...target, check: (input) => void seen.push(input) }, SETTINGS);
    assert.deepEqual([seen.length, report.inputs, report.seed], [150, 150, 5]);
  });

  it('goes on until the share of time is over, and has made its inputs in any case', async () => {
    const run = { ...target, check: () => undefined };
    const long = await fuzz(run, { ...SETTINGS, inputs: 2, seconds: 0.2 });
    assert.ok(long.seconds >= 0.1 && long.inputs > 1, `${long.inputs} in ${long.seconds} s`);
    const short = await fuzz(run, { ...SETTINGS, seconds: 0.000_001 });
    assert.equal(short.inputs, 150);
    const one = await fuzz(run, { ...SETTINGS, seconds: 60, index: 3 });
    assert.equal(one.inputs, 1);
  });

  it('names the input that fails, and makes it again by its number', async () => {
    for (const check of [
      (input: number) => assert.notEqual(input, 7),
      (input: number) => Promise.resolve().then(() => assert.notEqual(input, 7)),
    ]) {
      const error: unknown = await fuzz({ ...target, check }, SETTINGS).catch((e: unknown) => e);
      assert.ok(error instanceof Error);
      const index = Number(/AMBIT_FUZZ_SEED=5 AMBIT_FUZZ_INDEX=(\d+)/.exec(error.message)?.[1]);
      assert.match(error.message, /input: 7$/);
      const again: number[] = [];
      await fuzz({ ...target, check: (it) => void again.push(it) }, { ...SETTINGS, index });
      assert.deepEqual(again, [7]);
    }
  });

  it('sees what stays in memory', async () => {
    const kept: Buffer[] = [];
    const check = (): void => void kept.push(Buffer.alloc(50_000));
    const { grownBytes } = await fuzz({ ...target, check }, SETTINGS);
    assert.ok(grownBytes > 6_000_000, String(grownBytes));
  });

  it('takes its settings from the environment, and refuses what is no number', () => {
    assert.deepEqual(fuzzSettings({}), { inputs: 100_000, seconds: 0, seed: 1, index: undefined });
    assert.deepEqual(
      fuzzSettings({
        AMBIT_FUZZ_INPUTS: '10',
        AMBIT_FUZZ_SECONDS: '60',
        AMBIT_FUZZ_SEED: '3',
        AMBIT_FUZZ_INDEX: '0',
      }),
      { inputs: 10, seconds: 60, seed: 3, index: 0 },
    );
    for (const text of ['x', '-1', '1.5']) {
      assert.throws(() => fuzzSettings({ AMBIT_FUZZ_SEED: text }), RangeError, text);
      assert.throws(() => fuzzSettings({ AMBIT_FUZZ_SECONDS: text }), RangeError, text);
    }
  });
});
