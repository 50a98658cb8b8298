/** The Dockerfiles copy files that exist, and say the same as tools/image.ts. Nothing here runs Docker. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { IMAGES } from './image.ts';
import { APP_FOLDER, NODE_PATH } from './image-files.ts';

const root = dirname(import.meta.dirname);
const folder = join(root, 'manifests', 'images');

/** `[instruction, arguments]` of each line that is no comment. */
function instructions(name: string): readonly (readonly [string, string])[] {
  return readFileSync(join(folder, `${name}.Dockerfile`), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => [line.split(' ', 1)[0] ?? '', line.slice(line.indexOf(' ') + 1)]);
}

function only(name: string, instruction: string): string | undefined {
  return instructions(name).findLast(([word]) => word === instruction)?.[1];
}

describe('manifests/images', () => {
  it('has a Dockerfile for each image, and no other', () => {
    const files = globSync('*.Dockerfile', { cwd: folder }).sort();
    assert.deepEqual(
      files,
      Object.keys(IMAGES).map((name) => `${name}.Dockerfile`),
    );
  });

  for (const [name, { user, ports }] of Object.entries(IMAGES)) {
    it(`${name}: copies files that exist`, () => {
      const copies = instructions(name).filter(
        ([word, rest]) => word === 'COPY' && !rest.startsWith('--from='),
      );
      assert.ok(copies.length > 0);
      for (const [, rest] of copies) {
        for (const source of rest.split(' ').slice(0, -1)) {
          assert.ok(existsSync(join(root, source)), source);
        }
      }
    });

    it(`${name}: has the user, ports and entry point of tools/image.ts`, () => {
      assert.equal(only(name, 'USER'), user);
      assert.deepEqual(
        only(name, 'EXPOSE')?.split(' '),
        ports.map((port) => port.replace('/tcp', '')),
      );
      const entrypoint: unknown = JSON.parse(only(name, 'ENTRYPOINT') ?? '');
      assert.deepEqual(entrypoint, [NODE_PATH, `${APP_FOLDER}/main.mjs`]);
    });
  }
});
