import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { installPlugin } from './plugin-files.ts';

const NODE_BYTES = 48 * 1024 * 1024;
/** A copy by the kernel takes none; what else runs here takes some. */
const GROWTH_BYTES_MAX = 16 * 1024 * 1024;

let root = '';
let node = '';
let plugin = '';

before(() => {
  root = mkdtempSync(join(tmpdir(), 'ambit-plugin-'));
  mkdirSync(join(root, 'bin'));
  node = join(root, 'node');
  plugin = join(root, 'cni.cjs');
  writeFileSync(node, '');
  // Of zeros, that nobody has to write.
  truncateSync(node, NODE_BYTES);
  writeFileSync(plugin, '// plugin\n');
});
after(() => rmSync(root, { recursive: true, force: true }));

describe('the version of the plugin’s files', () => {
  it('is that of names and content, and no file is ever whole in memory', () => {
    const place = { binDir: join(root, 'bin'), hostBinDir: '/host/bin' };
    const peakBefore = process.resourceUsage().maxRSS * 1024;
    const version = installPlugin({ plugin, node, libraries: [] }, place, 'x64');
    const growth = process.resourceUsage().maxRSS * 1024 - peakBefore;
    const hash = createHash('sha256').update('cni.cjs\0').update(readFileSync(plugin));
    hash.update('node\0').update(readFileSync(node));
    assert.equal(version, hash.digest('hex').slice(0, 16));
    assert.ok(growth < GROWTH_BYTES_MAX, `grew by ${Math.round(growth / 1024 / 1024)} MB`);
  });
});
