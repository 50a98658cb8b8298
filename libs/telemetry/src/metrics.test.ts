import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createRegistry, registerProcessMetrics } from './metrics.ts';

it('exports what a process takes under the names of Prometheus', async () => {
  const registry = createRegistry();
  registerProcessMetrics(registry, {
    component: 'controller',
    version: '0.1.0',
    openFds: () => 7,
    maxFds: () => 9,
  });
  const values = new Map(
    (await registry.metrics()).split('\n').flatMap((line) => {
      const [, name = '', value = ''] = /^([a-z_]+)(?:\{.*\})? (\S+)$/.exec(line) ?? [];
      return name === '' ? [] : [[name, Number(value)] as const];
    }),
  );
  assert.equal(values.get('istio_build'), 1);
  assert.equal(values.get('process_open_fds'), 7);
  assert.equal(values.get('process_max_fds'), 9);
  const resident = values.get('process_resident_memory_bytes') ?? 0;
  assert.ok(resident > 10 * 1024 * 1024 && resident < 100 * 1024 ** 3, String(resident));
  const seconds = values.get('process_cpu_seconds_total') ?? 0;
  assert.ok(seconds > 0 && seconds < 3_600, String(seconds));
});
