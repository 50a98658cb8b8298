import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { proxyHeader } from './proxy-protocol.ts';

const ID = 'spiffe://cluster.local/ns/shop/sa/client';
const idHex = Buffer.from(ID).toString('hex');

/** As a server reads it, by the specification; what is behind the header is the client's. */
function read(bytes: Buffer) {
  assert.equal(bytes.subarray(0, 12).toString('hex'), '0d0a0d0a000d0a515549540a');
  assert.equal(bytes[12], 0x21, 'version 2, PROXY');
  const size = bytes[13] === 0x11 ? 4 : 16;
  assert.ok(bytes[13] === 0x11 || bytes[13] === 0x21, 'TCP over one of two families');
  const body = bytes.subarray(16, 16 + bytes.readUInt16BE(14));
  assert.equal(body.length, bytes.length - 16, 'and nothing behind it');
  const tlvs: [number, string][] = [];
  for (let at = 2 * size + 4; at < body.length; ) {
    const length = body.readUInt16BE(at + 1);
    tlvs.push([body[at] ?? 0, body.subarray(at + 3, at + 3 + length).toString('latin1')]);
    at += 3 + length;
  }
  return {
    source: body.subarray(0, size).toString('hex'),
    destination: body.subarray(size, 2 * size).toString('hex'),
    ports: [body.readUInt16BE(2 * size), body.readUInt16BE(2 * size + 2)],
    tlvs,
  };
}

describe('proxyHeader', () => {
  it('is written byte for byte as the specification has it', () => {
    const ipv4 = proxyHeader({
      source: { ip: '10.1.2.3', port: 40000 },
      destination: { ip: '10.96.0.9', port: 80 },
      sourceIdentity: ID,
    });
    assert.equal(
      ipv4.toString('hex'),
      `0d0a0d0a000d0a515549540a211100370a0102030a6000099c400050d00028${idHex}`,
    );
    const ipv6 = proxyHeader({
      source: { ip: 'fd00::1', port: 1 },
      destination: { ip: '10.96.0.9', port: 65535 },
      sourceIdentity: ID,
    });
    assert.equal(
      ipv6.toString('hex'),
      `0d0a0d0a000d0a515549540a2121004ffd000000000000000000000000000001` +
        `00000000000000000000ffff0a6000090001ffffd00028${idHex}`,
    );
  });

  it('says to its reader what it was told', () => {
    const port = fc.integer({ min: 0, max: 65535 });
    const end = fc.record({ ip: fc.oneof(fc.ipV4(), fc.ipV6()), port });
    fc.assert(
      fc.property(
        end,
        end,
        fc.stringMatching(/^[a-z0-9:/._-]{0,200}$/),
        (source, destination, id) => {
          const found = read(proxyHeader({ source, destination, sourceIdentity: id }));
          assert.deepEqual(found.ports, [source.port, destination.port]);
          assert.deepEqual(found.tlvs, [[0xd0, id]]);
          assert.equal(found.source.length, found.destination.length);
        },
      ),
    );
  });

  it('refuses what is no address', () => {
    for (const ip of ['', 'reviews', '10.0.0', '10.0.0.1:80']) {
      const end = { ip, port: 1 };
      assert.throws(() => proxyHeader({ source: end, destination: end, sourceIdentity: ID }), {
        code: 'WORKER_BAD_REQUEST',
      });
    }
  });
});
