/**
 * Objects given to `apply` rather than written in the user's folder: one file each, named by its key, in a folder
 * that counts after the user's.
 */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseObject } from '@ambit/api';
import { parseAllDocuments, stringify } from 'yaml';
import { LabError } from './errors.ts';
import { keyOf } from './manifests.ts';

/** Throws `LAB_OBJECT_INVALID` for what is no object at all; everything else is the controller's to judge. */
export function writeApplied(folder: string, yamlText: string): void {
  for (const document of parseAllDocuments(yamlText)) {
    const broken = document.errors[0];
    if (broken !== undefined) {
      throw new LabError('LAB_OBJECT_INVALID', broken.message, broken);
    }
    const raw: unknown = document.toJS();
    if (raw === null) {
      continue;
    }
    const file = join(folder, `${appliedName(raw)}.yaml`);
    writeFileSync(`${file}.new`, stringify(raw));
    renameSync(`${file}.new`, file);
  }
}

/** By `Kind/namespace/name` or `Kind/name`. Throws `LAB_OBJECT_NOT_FOUND`. */
export function removeApplied(folder: string, key: string): void {
  try {
    rmSync(join(folder, `${key.replaceAll('/', '.')}.yaml`));
  } catch (error) {
    throw new LabError('LAB_OBJECT_NOT_FOUND', `"${key}" was not applied to this lab`, error);
  }
}

function appliedName(raw: unknown): string {
  const { object } = parseObject(raw);
  if (object !== undefined) {
    return keyOf(object).replaceAll('/', '.');
  }
  // Not valid, or not the lab's to know: the controller shall say so, so it is written all the same.
  const { kind, metadata } = raw as {
    kind?: unknown;
    metadata?: { name?: unknown; namespace?: unknown };
  };
  if (typeof kind !== 'string' || typeof metadata?.name !== 'string') {
    throw new LabError('LAB_OBJECT_INVALID', 'an object needs kind and metadata.name');
  }
  const namespace = typeof metadata.namespace === 'string' ? metadata.namespace : 'default';
  return `${kind}.${namespace}.${metadata.name}`.replaceAll('/', '-');
}
