import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Registry } from 'prom-client';
import { type CrlState, registerCrlMetrics } from './crl-metrics.ts';

describe('metrics of revocation lists', () => {
  const text = async (state: CrlState | undefined): Promise<string[]> => {
    const registry = new Registry();
    registerCrlMetrics(registry, () => state);
    return (await registry.metrics()).split('\n').filter((line) => !line.startsWith('#') && line);
  };

  it('say what is revoked, when the first list ends, and whether the file is bad', async () => {
    const summaries = [
      { nextUpdateMs: 9_000, revoked: 2 },
      { nextUpdateMs: 5_000, revoked: 3 },
      { nextUpdateMs: undefined, revoked: 0 },
    ];
    assert.deepEqual(await text({ summaries, problem: undefined, failures: 0 }), [
      'ambit_crl_revoked_certificates 5',
      'ambit_crl_next_update_timestamp_seconds 5',
      'ambit_crl_file_problem 0',
      'ambit_crl_hand_over_failures_total 0',
    ]);
    assert.deepEqual(await text({ summaries: [], problem: 'bad', failures: 2 }), [
      'ambit_crl_revoked_certificates 0',
      'ambit_crl_file_problem 1',
      'ambit_crl_hand_over_failures_total 2',
    ]);
  });

  it('say nothing where no file is followed', async () => {
    assert.deepEqual(await text(undefined), []);
  });
});
