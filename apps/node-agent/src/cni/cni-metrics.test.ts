import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Registry } from 'prom-client';
import { type CniMetricsSources, registerCniMetrics } from './cni-metrics.ts';

describe('registerCniMetrics', () => {
  it('counts answers and rewrites, and says whether pods come', async () => {
    const sources = {
      pods: { counters: { added: 3, refused: 2, removed: 1 } },
      installer: { counters: { inserted: 2, reinserted: 1 }, problem: 'no network yet' },
    };
    const registry = new Registry();
    registerCniMetrics(registry, sources as unknown as CniMetricsSources);
    const text = await registry.metrics();
    assert.match(text, /ambit_cni_pods_total\{outcome="refused"\} 2/);
    assert.match(text, /ambit_cni_config_rewritten_total 1/);
    assert.match(text, /ambit_cni_installed 0/);
  });
});
