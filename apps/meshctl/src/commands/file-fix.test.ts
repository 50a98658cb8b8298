import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runMeshctl } from '../testing.ts';

let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'meshctl-files-'));
});

after(() => rmSync(folder, { recursive: true, force: true }));

const OLD = `# keep me
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  trafficPolicy:
    loadBalancer:
      simple: LEAST_CONN # old
`;

describe('meshctl validate', { concurrency: 3 }, () => {
  it('checks files and folders, with file, line, path and fix', async () => {
    const file = join(folder, 'broken.yaml');
    writeFileSync(
      file,
      'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  http:\n  - timeout: 5\n    route: [{destination: {host: a}}]\n',
    );
    const { code, stdout } = await runMeshctl(['validate', '-f', file]);
    assert.match(
      stdout,
      /broken\.yaml:6: error: VirtualService\/default\/a: spec\.http\[0\]\.timeout/,
    );
    assert.match(stdout, /1 object in 1 file: \d errors?, 0 warnings\n$/);
    assert.equal(code, 1);
    rmSync(file);
  });

  it('lets warnings pass unless --strict', async () => {
    const lax = await runMeshctl(['validate', '-f', '-'], { stdin: OLD });
    const strict = await runMeshctl(['validate', '-f', '-', '--strict'], { stdin: OLD });
    assert.match(lax.stdout, /<stdin>:\d+: warning: DestinationRule\/shop\/reviews/);
    assert.deepEqual([lax.code, strict.code], [0, 1]);
  });

  it('has findings as data', async () => {
    const { stdout } = await runMeshctl(['validate', '-f', '-', '-o', 'json'], { stdin: 'a: [' });
    const { findings } = JSON.parse(stdout) as { findings: { severity: string; line: number }[] };
    assert.equal(findings[0]?.severity, 'error');
  });

  for (const [title, args, code, message] of [
    ['no file', ['-f', '/nonexistent'], 1, /there is no such file or folder/],
    ['an empty folder', ['-f', '.'], 1, /no \.yaml/],
    ['no -f', [], 2, /required option/],
  ] as const) {
    it(`answers ${code} to ${title}`, async () => {
      const empty = mkdtempSync(join(folder, 'empty-'));
      const fixed = args.map((arg) => (arg === '.' ? empty : arg));
      const { stderr, code: actual } = await runMeshctl(['validate', ...fixed]);
      assert.match(stderr, message);
      assert.equal(actual, code);
    });
  }
});

describe('meshctl fix', { concurrency: 3 }, () => {
  it('prints the official form and keeps comments', async () => {
    const { stdout, code } = await runMeshctl(['fix', '-f', '-'], { stdin: OLD });
    assert.match(stdout, /^# keep me\n/);
    assert.match(stdout, /simple: LEAST_REQUEST # old/);
    assert.equal(code, 0);
  });

  it('changes files with --write, and has nothing to do then', async () => {
    const file = join(folder, 'old.yaml');
    writeFileSync(file, OLD);
    assert.equal((await runMeshctl(['fix', '-f', file, '--check'])).code, 1);
    assert.equal(readFileSync(file, 'utf8'), OLD);
    assert.equal((await runMeshctl(['fix', '-f', file, '--write'])).code, 0);
    assert.match(readFileSync(file, 'utf8'), /LEAST_REQUEST/);
    assert.equal((await runMeshctl(['fix', '-f', file, '--check'])).code, 0);
    rmSync(file);
  });

  for (const args of [
    ['-f', 'x', '--write', '--check'],
    ['-f', '-', '--write'],
  ]) {
    it(`refuses ${args.join(' ')}`, async () => {
      assert.equal((await runMeshctl(['fix', ...args])).code, 2);
    });
  }
});
