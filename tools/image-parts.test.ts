import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { readElf } from './image-elf.ts';
import { type FileEntry, readTar, writeTar } from './image-tar.ts';

const entry = (path: string, text: string): FileEntry => ({
  path,
  mode: 0o644,
  content: { kind: 'file', bytes: Buffer.from(text) },
});
const LINK: FileEntry = { path: '/b/link', mode: 0o777, content: { kind: 'link', target: 'c' } };

describe('writeTar', () => {
  it('gives the same bytes for the same files in any order', async () => {
    const files = [entry('/b/c', '1'), entry('/a', '2'), LINK, entry(`/${'x'.repeat(150)}/y`, '3')];
    const one = await writeTar(files, 1_700_000_000);
    const other = await writeTar(files.toReversed(), 1_700_000_000);
    assert.ok(one.equals(other));
  });

  it('writes parent folders before what is in them, and reads back the same', async () => {
    const read = await readTar(await writeTar([entry('/b/d/c', 'text'), LINK], 0));
    assert.deepEqual(
      read.map(({ path, content }) => [path, content.kind]),
      [
        ['/b', 'folder'],
        ['/b/d', 'folder'],
        ['/b/d/c', 'file'],
        ['/b/link', 'link'],
      ],
    );
  });

  it('has nothing of the machine in it', async () => {
    const text = (await writeTar([entry('/a', '')], 0)).toString('latin1');
    assert.ok(!text.includes(process.env['USER'] ?? 'root '), 'no user name');
    assert.ok(!text.includes(process.cwd()), 'no path');
  });
});

describe('readElf', () => {
  it('reads what Node needs', () => {
    const { interpreter, needed } = readElf(readFileSync(process.execPath)) ?? {};
    assert.match(interpreter ?? '', /^\/lib.*ld-linux/);
    for (const name of ['libc.so.6', 'libstdc++.so.6', 'libgcc_s.so.1']) {
      assert.ok(needed?.includes(name), name);
    }
  });

  it('finds none in a text', () => {
    assert.equal(readElf(Buffer.from('#!/bin/sh\n'.repeat(10))), undefined);
    assert.equal(readElf(Buffer.alloc(0)), undefined);
  });

  const wrongClass = Buffer.alloc(128);
  wrongClass.set([0x7f, 0x45, 0x4c, 0x46, 1, 1]);
  const bigEndian = Buffer.alloc(128);
  bigEndian.set([0x7f, 0x45, 0x4c, 0x46, 2, 2]);
  const cut = readFileSync(process.execPath).subarray(0, 256);
  for (const [what, bytes] of Object.entries({ wrongClass, bigEndian, cut })) {
    it(`refuses ${what}`, () => {
      assert.throws(() => readElf(bytes));
    });
  }
});
