/**
 * Writes the Helm chart, manifests/install.yaml and the table of values in docs/install.md.
 *
 * Usage: chart.ts. What they say comes from apps/meshctl/src/install; its tests fail when the files differ from it.
 */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { chartFiles, valuesTable } from '../apps/meshctl/src/install/chart-files.ts';

const root = dirname(import.meta.dirname);
const TABLE = /(?<=<!-- values -->\n)[\s\S]*?(?=<!-- end of values -->)/;

for (const [path, text] of Object.entries(chartFiles())) {
  const file = join(root, 'manifests', path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
const crds = join(root, 'manifests/chart/crds');
if (!existsSync(crds)) symlinkSync('../crds', crds);

const page = join(root, 'docs/install.md');
writeFileSync(
  page,
  readFileSync(page, 'utf8').replace(TABLE, () => valuesTable()),
);
