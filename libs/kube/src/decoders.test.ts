import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeEvent, decodeItem } from './decode.ts';
import { ListDecoder } from './list-decoder.ts';
import { stringsOf } from './partial-json.ts';
import { WatchDecoder } from './watch-decoder.ts';

/** Cuts bytes at arbitrary places, also within a character. */
function chunksOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [...places, bytes.length].map((end, i) => bytes.subarray(places[i - 1] ?? 0, end));
}

const cutsArbitrary = fc.array(fc.nat(), { maxLength: 12 });
const jsonArbitrary = fc.jsonValue({ maxDepth: 3, stringUnit: 'grapheme' });
const itemArbitrary = fc.dictionary(fc.string({ unit: 'grapheme' }), jsonArbitrary);

describe('WatchDecoder', () => {
  it('hands out the same lines whatever the chunks are', () => {
    fc.assert(
      fc.property(fc.array(itemArbitrary), cutsArbitrary, (events, cuts) => {
        const text = events.map((event) => `${JSON.stringify(event)}\n`).join('');
        const lines: unknown[] = [];
        const decoder = new WatchDecoder({
          lineBytesMax: 1e6,
          onLine: ({ bytes }) => lines.push(JSON.parse(bytes.toString())),
        });
        for (const chunk of chunksOf(Buffer.from(text), cuts)) {
          decoder.write(chunk);
        }
        assert.deepEqual(lines, JSON.parse(JSON.stringify(events)));
      }),
    );
  });

  it('keeps no more than the limit of a line, and reads the next one whole', () => {
    fc.assert(
      fc.property(fc.nat(3000), cutsArbitrary, (length, cuts) => {
        const text = `${'x'.repeat(length + 100)}\n{"a":1}\n`;
        const lines: (readonly [number, number, boolean])[] = [];
        const decoder = new WatchDecoder({
          lineBytesMax: 100,
          onLine: (line) => lines.push([line.bytes.length, line.length, line.isComplete]),
        });
        for (const chunk of chunksOf(Buffer.from(text), cuts)) {
          decoder.write(chunk);
        }
        const total = length + 100;
        assert.deepEqual(lines, [
          [100, total, total === 100],
          [7, 7, true],
        ]);
      }),
    );
  });

  it('never throws for arbitrary bytes, nor does what reads its lines', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (chunks) => {
        const decoder = new WatchDecoder({ lineBytesMax: 20, onLine: (line) => decodeEvent(line) });
        for (const chunk of chunks) {
          decoder.write(Buffer.from(chunk));
        }
      }),
    );
  });
});

describe('ListDecoder', () => {
  it('hands out the same items and envelope whatever the chunks and the rest are', () => {
    const rest = fc.dictionary(fc.string({ unit: 'grapheme' }), jsonArbitrary);
    fc.assert(
      fc.property(
        rest,
        rest,
        fc.array(itemArbitrary),
        cutsArbitrary,
        fc.constantFrom(0, 2),
        (before, after, items, cuts, space) => {
          const { items: _first, ...head } = before;
          const { items: _second, ...tail } = after;
          const list = { ...head, nested: { items: [{ no: 1 }] }, items, ...tail };
          const read: unknown[] = [];
          const decoder = new ListDecoder({
            itemBytesMax: 1e6,
            onItem: ({ bytes }) => read.push(JSON.parse(bytes.toString())),
          });
          for (const chunk of chunksOf(Buffer.from(JSON.stringify(list, null, space)), cuts)) {
            decoder.write(chunk);
          }
          const plain = JSON.parse(JSON.stringify({ ...list, items: [] })) as unknown;
          assert.deepEqual(decoder.end(), plain);
          assert.deepEqual(read, JSON.parse(JSON.stringify(items)));
        },
      ),
    );
  });

  it('refuses every list that is cut short', () => {
    const text = JSON.stringify({
      metadata: { resourceVersion: '1' },
      items: [{ a: '}]"' }],
      z: 1,
    });
    for (let length = 0; length < text.length; length += 1) {
      const decoder = new ListDecoder({ itemBytesMax: 100, onItem: () => undefined });
      decoder.write(Buffer.from(text.slice(0, length)));
      assert.throws(() => decoder.end(), { code: 'KUBE_PROTOCOL' }, text.slice(0, length));
    }
  });

  it('throws nothing but KUBE_PROTOCOL for arbitrary bytes', () => {
    const bytes = fc.oneof(
      fc.uint8Array(),
      fc.string().map((s) => Buffer.from(`{"items":[${s}`)),
    );
    fc.assert(
      fc.property(fc.array(bytes), (chunks) => {
        const decoder = new ListDecoder({ itemBytesMax: 9, onItem: (item) => decodeItem(item) });
        try {
          for (const chunk of chunks) {
            decoder.write(Buffer.from(chunk));
          }
          decoder.end();
        } catch (error) {
          assert.equal((error as { code?: unknown }).code, 'KUBE_PROTOCOL');
        }
      }),
    );
  });
});

describe('stringsOf', () => {
  it('reads the name of an object that is cut anywhere after it', () => {
    const before = {
      annotations: { name: 'wrong', 'a"b': '\\"name":"no' },
      list: ['name', { name: 'no' }],
    };
    const text = JSON.stringify({
      labels: { metadata: { name: 'no' } },
      metadata: { ...before, name: 'yes', namespace: 'ns', ownerReferences: [{ name: 'no' }] },
      spec: { name: 'no', metadata: { name: 'no' } },
    });
    const end = text.indexOf('"ns"') + 4;
    for (let length = end; length <= text.length; length += 1) {
      const found = stringsOf(
        text.slice(0, length),
        new Set(['metadata.name', 'metadata.namespace']),
      );
      assert.deepEqual(
        [...found].sort(),
        [
          ['metadata.name', 'yes'],
          ['metadata.namespace', 'ns'],
        ],
        text.slice(0, length),
      );
    }
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => void stringsOf(text, new Set(['a']))));
  });
});
