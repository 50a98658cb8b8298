/** Istio's own CRDs: of the Go module istio.io/api, or from the file that $AMBIT_ISTIO_CRDS names. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parseYaml } from '@ambit/api';

const MODULE = 'istio.io/api@v1.31.1';
const FILE = 'kubernetes/customresourcedefinitions.gen.yaml';

export interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
}

export interface IstioCrd {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly {
      readonly name: string;
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
}

export function readIstioCrds(): readonly IstioCrd[] {
  const given = process.env['AMBIT_ISTIO_CRDS'] ?? '';
  const path = given === '' ? join(moduleFolder(), FILE) : given;
  const { documents, findings } = parseYaml(readFileSync(path, 'utf8'), { source: path });
  assert.deepEqual(findings, []);
  return documents.map(({ value }) => value as IstioCrd);
}

function moduleFolder(): string {
  const json = execFileSync('go', ['mod', 'download', '-json', MODULE], { encoding: 'utf8' });
  return (JSON.parse(json) as { readonly Dir: string }).Dir;
}
