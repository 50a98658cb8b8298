/**
 * What policy judged is, byte for byte, what the backend gets, or the backend gets nothing.
 *
 * Over bytes near to HTTP/1 and over fields near to those of HTTP/2, to backends of both, some dozens at a time.
 * `AMBIT_FUZZ_FACTOR=1000` makes a million of each; AMBIT_FUZZ_SEED and AMBIT_FUZZ_INDEX make one batch again.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fuzz, fuzzSettings, type Random } from '@ambit/core/fuzzing';
import { block, frame, headers, settings } from '@ambit/h2/testing';
import type { RequestAttributes } from '@ambit/policy';
import { Recorder } from '@ambit/proxy/testing';
import { JudgedMesh } from './fixtures/judged.ts';
import { type Http2Request, mutatedHttp1, mutatedHttp2 } from './fixtures/mutations.ts';
import type { Received } from './fixtures/raw-backend.ts';
import { fieldValue } from './h1/message.ts';

const BATCH = 50;
const BATCHES = 20 * Number(process.env['AMBIT_FUZZ_FACTOR'] ?? 1);
/** Less, and most of what is made would be refused before anybody judges it. */
const CARRIED_SHARE_MIN = 0.15;

/** Of this hop's framing, or written by us. */
const OURS: ReadonlySet<string> = new Set([
  'content-length',
  'expect',
  'transfer-encoding',
  'x-envoy-attempt-count',
  'x-forwarded-client-cert',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-request-id',
]);

/** Said elsewhere than among the fields. */
const ALWAYS = ['host', 'connection', 'upgrade', 'te'];

function check(judged: RequestAttributes, got: Received, names: ReadonlySet<string>): void {
  const question = got.path.indexOf('?');
  const path = question === -1 ? got.path : got.path.slice(0, question);
  assert.deepEqual([judged.method, judged.host, judged.path], [got.method, got.authority, path]);
  const { fields } = got;
  const valuesOf = (name: string): string[] => {
    const values = fields.filter((_, at) => at % 2 === 1 && fields[at - 1] === name);
    switch (name) {
      case 'host':
        return [got.authority];
      case 'connection':
        // Its option for `te` is of the next hop alone.
        return values.map((value) => value.replace(/^te(?:, |$)/, '')).filter((value) => value);
      default:
        return values;
    }
  };
  for (const name of [...names, ...ALWAYS, ...fields.filter((_, at) => at % 2 === 0)]) {
    if (!OURS.has(name)) {
      const values = valuesOf(name);
      const value = values.length === 0 ? undefined : values.join(',');
      if (judged.header(name) !== value) {
        assert.equal(judged.header(name), value, name);
      }
    }
  }
  const [certificate, ...more] = valuesOf('x-forwarded-client-cert');
  assert.ok(certificate?.startsWith('By=spiffe://cluster.local/ns/shop/sa/waypoint;'));
  assert.equal(more.length, 0);
  assert.equal(fieldValue(got.trailers, 'x-ambit-source'), undefined);
  assert.equal(fieldValue(got.trailers, 'x-forwarded-client-cert'), undefined);
}

/** Nothing was received that was not judged as it is. */
function checkAll({ judged, received }: JudgedMesh, names: ReadonlySet<string>): number {
  const byId = new Map(judged.map((request) => [request.header('x-request-id'), request]));
  for (const request of received) {
    const id = fieldValue(request.fields, 'x-request-id');
    const attributes = byId.get(id);
    assert.ok(attributes !== undefined, `nobody judged ${JSON.stringify(request)}`);
    assert.ok(byId.delete(id), 'once');
    check(attributes, request, names);
  }
  return received.length;
}

const showOne = (input: unknown): unknown =>
  Buffer.isBuffer(input) ? input.toString('latin1') : input;

async function run<Input>(
  name: string,
  make: (random: Random) => Input,
  send: (mesh: JudgedMesh, batch: readonly Input[]) => Promise<ReadonlySet<string>>,
): Promise<void> {
  const meshes = [new JudgedMesh('HTTP11'), new JudgedMesh('HTTP2')] as const;
  let carried = 0;
  const { inputs } = await fuzz(
    {
      name,
      share: 1,
      make: (random) => Array.from({ length: BATCH }, () => make(random)),
      check: async (batch, random) => {
        const mesh = random.pick(meshes);
        mesh.forget();
        carried += checkAll(mesh, await send(mesh, batch));
      },
      show: (batch) => JSON.stringify(batch.map(showOne)),
    },
    { ...fuzzSettings(process.env), inputs: BATCHES },
  );
  for (const mesh of meshes) {
    mesh.destroy();
  }
  const share = carried / (inputs * BATCH);
  assert.ok(share > CARRIED_SHARE_MIN || inputs === 1, `${carried} requests came through`);
}

async function sendHttp1(mesh: JudgedMesh, batch: readonly Buffer[]): Promise<Set<string>> {
  const names = new Set<string>();
  const clients = batch.map((bytes) => {
    const client = mesh.connect();
    Recorder.on(client);
    client.write(bytes);
    client.end();
    for (const [, name = ''] of bytes.toString('latin1').matchAll(/^([^\s:]+):/gm)) {
      names.add(name.toLowerCase());
    }
    return client;
  });
  await mesh.settle();
  for (const client of clients) {
    client.destroy();
  }
  return names;
}

async function sendHttp2(mesh: JudgedMesh, batch: readonly Http2Request[]): Promise<Set<string>> {
  const names = new Set<string>();
  const client = mesh.connect();
  Recorder.on(client);
  client.write(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
  client.write(settings());
  for (const [index, { fields, body, trailers }] of batch.entries()) {
    const id = index * 2 + 1;
    client.write(headers(id, fields, body === undefined ? 1 : 0));
    if (body !== undefined) {
      client.write(frame(0, id, body, trailers === undefined ? 1 : 0));
    }
    if (trailers !== undefined) {
      client.write(frame(1, id, block([...trailers, 'x-ambit-source', 'me']), 5));
    }
    for (let at = 0; at < fields.length; at += 2) {
      names.add((fields[at] ?? '').toLowerCase());
    }
  }
  await mesh.settle();
  client.destroy();
  return names;
}

describe('what was judged is what is sent on', () => {
  it('from HTTP/1, whatever the bytes', async () => {
    await run('requests of HTTP/1', mutatedHttp1, sendHttp1);
  });

  it('from HTTP/2, whatever the fields', async () => {
    await run('requests of HTTP/2', mutatedHttp2, sendHttp2);
  });
});
