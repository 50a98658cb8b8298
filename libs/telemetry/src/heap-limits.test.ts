import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { workerHeapBytes } from './container-limits.ts';
import { describeHeaps, registerHeapMetrics, workerResourceLimits } from './heap-limits.ts';
import { createRegistry } from './metrics.ts';

const MIB = 2 ** 20;

describe('workerHeapBytes', () => {
  for (const [memoryMb, workers] of [
    [1024, 1],
    [1024, 4],
    [4096, 8],
  ] as const) {
    it(`leaves room outside of ${workers} heaps in ${memoryMb} MiB`, () => {
      const heap = workerHeapBytes({ memoryBytes: memoryMb * MIB }, workers) ?? 0;
      assert.ok(heap * workers <= memoryMb * MIB * 0.4, `${heap}`);
      assert.ok(heap >= 64 * MIB);
    });
  }
});

describe('workerResourceLimits', () => {
  it('is the heap in both its parts', () => {
    const limits = workerResourceLimits(100 * MIB);
    assert.deepEqual(limits, { maxYoungGenerationSizeMb: 24, maxOldGenerationSizeMb: 76 });
    assert.deepEqual(workerResourceLimits(40 * MIB), {
      maxYoungGenerationSizeMb: 10,
      maxOldGenerationSizeMb: 30,
    });
  });

  it('leaves all but the room for new objects to V8 without a bound', () => {
    assert.deepEqual(workerResourceLimits(undefined), { maxYoungGenerationSizeMb: 24 });
  });
});

describe('what people see of it', () => {
  const heaps = {
    workers: 2,
    limits: { cpus: 1.5, memoryBytes: 512 * MIB },
    workerHeapBytes: 102 * MIB,
  };

  it('is in the line of the start', () => {
    const { mainHeapMb, ...rest } = describeHeaps(heaps);
    assert.ok((mainHeapMb ?? 0) > 0);
    const expected = { workers: 2, cpuLimit: 1.5, memoryLimitMb: 512, workerHeapMb: 102 };
    assert.deepEqual(rest, expected);
  });

  it('is in metrics, and what is not bounded is in none', async () => {
    const limited = createRegistry();
    registerHeapMetrics(limited, heaps);
    const text = await limited.metrics();
    for (const line of [
      'ambit_workers 2',
      'ambit_cpu_limit_cores 1.5',
      `ambit_memory_limit_bytes ${512 * MIB}`,
      `ambit_heap_limit_bytes{thread="worker"} ${102 * MIB}`,
    ]) {
      assert.ok(text.includes(`\n${line}\n`), `${line} in ${text}`);
    }
    const free = createRegistry();
    registerHeapMetrics(free, { workers: 1, limits: {}, workerHeapBytes: undefined });
    assert.doesNotMatch(await free.metrics(), /cpu_limit|memory_limit|thread="worker"/);
  });
});
