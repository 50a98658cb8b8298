import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { supportedKinds, unsupportedKinds } from '../schema/kinds.ts';
import type { WireSchema } from '../schema/wire.ts';
import { parseYaml } from '../yaml.ts';
import { annotatedKinds } from './annotations.ts';
import { CRD_OWNER_LABEL, customResourceDefinitions, formatCrd } from './definitions.ts';

const FOLDER = new URL('../../../../manifests/crds/', import.meta.url);
const CRDS = customResourceDefinitions();

describe('manifests/crds', () => {
  it('has a file for each CRD that says what the schemas say, and no other', () => {
    const wanted = new Map(CRDS.map((crd) => [`${crd.metadata.name}.yaml`, formatCrd(crd)]));
    if (process.env['AMBIT_UPDATE_CRDS'] === '1') {
      mkdirSync(FOLDER, { recursive: true });
      for (const [file, text] of wanted) writeFileSync(new URL(file, FOLDER), text);
    }
    assert.deepEqual(readdirSync(FOLDER).sort(), [...wanted.keys()].sort());
    for (const [file, text] of wanted) {
      assert.equal(readFileSync(new URL(file, FOLDER), 'utf8'), text, file);
    }
  });
});

describe('customResourceDefinitions', () => {
  it('has every Istio kind that is served or known, and none of Gateway API', () => {
    const served = supportedKinds().filter(({ isMeshKind }) => isMeshKind);
    const names = [...served.map(({ group, kind }) => `${group}/${kind}`), ...unsupportedKinds()];
    assert.deepEqual(
      CRDS.map(({ spec }) => `${spec.group}/${spec.names.kind}`).sort(),
      names.filter((name) => name.split('/')[0]?.endsWith('.istio.io')).sort(),
    );
  });

  it('serves exactly the versions of served kinds, and stores one', () => {
    for (const { spec } of CRDS) {
      const { kind } = spec.names;
      const known = supportedKinds().find(
        (each) => each.kind === kind && each.group === spec.group,
      );
      const versions = spec.versions.map(({ name }) => name);
      if (known !== undefined) assert.deepEqual(versions, known.versions, kind);
      assert.equal(spec.versions.filter(({ storage }) => storage).length, 1, kind);
    }
  });

  it('marks each as ours and keeps it when a chart goes', () => {
    for (const { metadata } of CRDS) {
      assert.equal(metadata.labels[CRD_OWNER_LABEL.key], CRD_OWNER_LABEL.value, metadata.name);
      assert.equal(metadata.annotations['helm.sh/resource-policy'], 'keep', metadata.name);
    }
  });

  it('annotates kinds that exist only', () => {
    const kinds = CRDS.map(({ spec }) => spec.names.kind);
    for (const kind of annotatedKinds()) assert.ok(kinds.includes(kind), kind);
  });

  it('fits into what an API server and kubectl take', () => {
    for (const crd of CRDS) {
      // kubectl apply keeps the object in an annotation, of which all together have 256 KiB.
      assert.ok(JSON.stringify(crd).length < 200_000, crd.metadata.name);
      assert.equal(
        parseYaml(formatCrd(crd), { source: 'crd' }).documents.length,
        1,
        crd.metadata.name,
      );
    }
  });

  it('drops no field, and sets no default', () => {
    for (const { metadata, spec } of CRDS) {
      for (const { schema } of spec.versions) walk(schema.openAPIV3Schema, metadata.name, check);
    }
  });
});

function check(schema: WireSchema, at: string): void {
  assert.ok(!Object.hasOwn(schema, 'default'), `${at} has no default`);
  if (schema.properties === undefined) return;
  assert.equal(schema['x-kubernetes-preserve-unknown-fields'], true, `${at} keeps unknown fields`);
}

function walk(schema: WireSchema, at: string, visit: (schema: WireSchema, at: string) => void) {
  visit(schema, at);
  for (const [key, below] of Object.entries(schema.properties ?? {})) {
    walk(below, `${at}.${key}`, visit);
  }
  if (schema.items !== undefined) walk(schema.items, `${at}[]`, visit);
  if (schema.additionalProperties !== undefined)
    walk(schema.additionalProperties, `${at}.*`, visit);
}
