import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const packageFolder = fileURLToPath(new URL('..', import.meta.url));
const bin = join(packageFolder, '../../node_modules/.bin');

describe('generated protobuf code', () => {
  it('is what `npm run generate` makes of the .proto files', () => {
    const out = mkdtempSync(join(tmpdir(), 'ambit-gen-'));
    try {
      execFileSync(process.execPath, [join(bin, 'buf'), 'generate', '-o', out], {
        cwd: packageFolder,
        stdio: 'pipe',
      });
      const made = globSync('**/*.ts', { cwd: join(out, 'src/gen') }).sort();
      assert.deepEqual(globSync('**/*.ts', { cwd: join(packageFolder, 'src/gen') }).sort(), made);
      for (const path of made) {
        const read = (folder: string): string =>
          readFileSync(join(folder, 'src/gen', path), 'utf8');
        assert.equal(read(packageFolder), read(out), path);
      }
    } finally {
      rmSync(out, { recursive: true });
    }
  });
});
