import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { explain } from './explain.ts';
import { podYaml, SHOP, snapshotOf } from './testing.ts';

describe('why a pod is not captured', () => {
  it('names the label that leaves it out', () => {
    const out = podYaml('out-1', '10.0.0.61', {
      labels: '{app: out, istio.io/dataplane-mode: none}',
    });
    const { hop } = explain(
      { source: 'shop/out-1', destination: 'reviews.shop' },
      snapshotOf(SHOP, out),
    );
    assert.match(
      JSON.stringify(hop),
      /left out of the mesh: its label istio\.io\/dataplane-mode is none/,
    );
  });
});
