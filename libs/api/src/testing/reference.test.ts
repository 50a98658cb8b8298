import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { formatReference } from './reference.ts';

const PAGE = new URL('../../../../docs/objects.md', import.meta.url);
const BORDER =
  '<!-- Below: generated from the tables of libs/api; AMBIT_UPDATE_DOCS=1 in its tests writes it. -->\n';

describe('docs/objects.md', () => {
  it('says what the tables say', () => {
    const page = readFileSync(PAGE, 'utf8');
    const head = page.slice(0, page.indexOf(BORDER));
    assert.ok(head.length > 0, 'the border is there');
    const wanted = `${head}${BORDER}\n${formatReference()}`;
    if (process.env['AMBIT_UPDATE_DOCS'] === '1') writeFileSync(PAGE, wanted);
    else assert.equal(page, wanted);
  });
});
