/** Advisories about numbers: every byte there is, and as many names as there are requests. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { heldBytes } from '@ambit/core/fuzzing';
import { headers, settings } from '@ambit/h2/testing';
import { Recorder } from '@ambit/proxy/testing';
import { valuesOf } from '../fixtures/advisory-bed.ts';
import { JudgedMesh } from '../fixtures/judged.ts';
import type { Received } from '../fixtures/raw-backend.ts';
import type { ClientVersion } from '../fixtures/raw-client.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** Each field in a request of its own, on a connection of its own; gives what came through, by the number in its path. */
async function askEach(
  mesh: JudgedMesh,
  client: ClientVersion,
  fields: readonly (readonly [name: string, value: string])[],
): Promise<ReadonlyMap<number, Received>> {
  mesh.forget();
  for (const [at, [name, value]] of fields.entries()) {
    const conn = mesh.connect();
    Recorder.on(conn);
    if (client === 'HTTP/1.1') {
      conn.write(
        Buffer.from(`GET /${at} HTTP/1.1\r\nhost: a\r\n${name}: ${value}\r\n\r\n`, 'latin1'),
      );
    } else {
      const head = [':method', 'GET', ':scheme', 'http', ':path', `/${at}`, ':authority', 'a'];
      conn.write(Buffer.concat([PREFACE, settings(), headers(1, [...head, name, value], 1)]));
    }
  }
  await mesh.settle();
  return new Map(mesh.received.map((request) => [Number(request.path.slice(1)), request]));
}

const BYTES = Array.from({ length: 256 }, (_, byte) => byte);
const isValueByte = (byte: number): boolean => byte === 9 || (byte >= 0x20 && byte !== 0x7f);
const NAME_CHAR = /[!#$%&'*+.^_`|~0-9a-z-]/;

describe('12 CVE-2023-27488, 27491, 27493: any byte in names and values', () => {
  for (const client of ['HTTP/1.1', 'HTTP/2'] as const) {
    for (const upstream of ['HTTP11', 'HTTP2'] as const) {
      it(`${client} to ${upstream}`, async () => {
        using mesh = new JudgedMesh(upstream);
        const values = BYTES.map((byte) => `a${String.fromCharCode(byte)}b`);
        const byValue = await askEach(
          mesh,
          client,
          values.map((value) => ['x-role', value] as const),
        );
        for (const [byte, value] of values.entries()) {
          const request = byValue.get(byte);
          const got = request && valuesOf(request, 'x-role');
          assert.deepEqual(got, isValueByte(byte) ? [value] : undefined, `value ${byte}`);
        }
        const names = BYTES.map((byte) => `x${String.fromCharCode(byte)}y`);
        const byName = await askEach(
          mesh,
          client,
          names.map((name) => [name, 'a'] as const),
        );
        for (const [byte, name] of names.entries()) {
          const request = byName.get(byte);
          const char = String.fromCharCode(byte);
          if (client === 'HTTP/1.1' && char === ':') {
            assert.deepEqual(request && valuesOf(request, 'x'), ['y: a']);
            continue;
          }
          // Letters of HTTP/1 have a case that means nothing; HTTP/2 has small ones.
          const isName =
            NAME_CHAR.test(char) || (client === 'HTTP/1.1' && NAME_CHAR.test(char.toLowerCase()));
          const got = request && valuesOf(request, name.toLowerCase());
          assert.deepEqual(got, isName && byte < 128 ? ['a'] : undefined, `name ${byte}`);
        }
      });
    }
  }
});

describe('27 CVE-2025-43915: as many hosts as requests', () => {
  it('leaves nothing of them in memory', async () => {
    using mesh = new JudgedMesh();
    let count = 0;
    const askMany = async (hosts: number): Promise<void> => {
      for (const end = count + hosts; count < end; ) {
        const client = mesh.connect();
        Recorder.on(client);
        const batch = Array.from({ length: 50 }, () => {
          count += 1;
          return `GET / HTTP/1.1\r\nhost: ${count}.${'x'.repeat(240)}\r\n\r\n`;
        });
        client.write(Buffer.from(batch.join('')));
        await mesh.settle();
        assert.equal(mesh.received.length, 50);
        mesh.forget();
        client.destroy();
      }
      await mesh.settle();
    };
    await askMany(1_500);
    const before = await heldBytes();
    await askMany(3_000 * Number(process.env['AMBIT_FUZZ_FACTOR'] ?? 1));
    const grown = (await heldBytes()) - before;
    assert.ok(grown < 500_000, `${grown} bytes`);
  });
});
