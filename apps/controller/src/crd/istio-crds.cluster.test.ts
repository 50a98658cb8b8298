/**
 * Istio's own CRDs, where a cluster has them: our objects are unchanged under them, and no field of theirs
 * is one that we never heard of.
 *
 * They come with the Go module istio.io/api, or from the file that $AMBIT_ISTIO_CRDS names.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { knownPaths, parseObject } from '@ambit/api';
import { isKubeError } from '@ambit/kube';
import { openTestCluster, type TestCluster } from '@ambit/kube/testing';

import { applyCrds, fixtures, store } from './crds.testing.ts';
import { readIstioCrds, type Schema } from './istio-crds.testing.ts';

function pathsOf(schema: Schema, path: string, found: string[] = []): readonly string[] {
  found.push(path);
  for (const [key, below] of Object.entries(schema.properties ?? {})) {
    pathsOf(below, `${path}.${key}`, found);
  }
  if (schema.items !== undefined) pathsOf(schema.items, `${path}[]`, found);
  if (typeof schema.additionalProperties === 'object') {
    pathsOf(schema.additionalProperties, `${path}.*`, found);
  }
  return found;
}

const CRDS = readIstioCrds();

describe('fields of Istio', () => {
  for (const { spec } of CRDS) {
    const known = knownPaths(spec.group, spec.names.kind);
    if (known === undefined) continue;
    for (const { name, schema } of spec.versions) {
      it(`of ${spec.names.kind} ${name} are read or listed as not supported`, () => {
        const theirs = pathsOf(schema.openAPIV3Schema.properties?.['spec'] ?? {}, 'spec');
        assert.deepEqual(
          theirs.filter((path) => !known.has(path)),
          [],
        );
      });
    }
  }
});

describe('objects under the CRDs of Istio', () => {
  let cluster: TestCluster;
  let namespace: string;
  before(async () => {
    // A cluster of its own: the CRDs have the names of ours.
    cluster = await openTestCluster('istio-crds', { isOwn: true });
    await applyCrds(cluster, CRDS);
    namespace = await cluster.namespace();
  });
  after(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  const codesOf = (value: unknown) => parseObject(value).findings.map(({ code }) => code);
  for (const [title, object] of fixtures()) {
    const { findings } = parseObject(object);
    const isOfficial = findings.every(
      ({ severity, code }) => severity !== 'error' && !code.startsWith('DIALECT'),
    );
    if (!isOfficial) continue;
    it(`are as they were: ${title}`, async () => {
      const stored = await store(cluster, namespace, object).catch((error: unknown) => {
        if (!isKubeError(error, 'KUBE_INVALID')) throw error;
        return assert.fail(`refused: ${error.message}`);
      });
      assert.deepEqual(stored['spec'] ?? {}, object['spec'] ?? {});
      assert.deepEqual(codesOf(stored), codesOf(object));
    });
  }
});
