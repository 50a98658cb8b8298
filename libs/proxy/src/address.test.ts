import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { canonicalAddress, formatAddress } from './address.ts';
import { fromIoError, isPeerGone } from './errors.ts';

describe('canonicalAddress', () => {
  for (const [given, want] of [
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['10.0.0.1', '10.0.0.1'],
    ['fd00::1', 'fd00::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['::ffff:a00:1', '::ffff:a00:1'],
    [undefined, ''],
  ] as const) {
    it(`reads ${given}`, () => assert.equal(canonicalAddress(given), want));
  }

  it('brackets IPv6 before a port', () => {
    assert.equal(formatAddress('fd00::1', 80), '[fd00::1]:80');
    assert.equal(formatAddress('10.0.0.1', 80), '10.0.0.1:80');
  });
});

describe('fromIoError', () => {
  for (const [code, want, gone, retryable] of [
    ['ECONNRESET', 'PROXY_PEER_GONE', true, false],
    ['EPIPE', 'PROXY_PEER_GONE', true, false],
    ['ETIMEDOUT', 'PROXY_PEER_SILENT', false, false],
    ['ECONNREFUSED', 'PROXY_REFUSED', false, true],
    ['EMFILE', 'PROXY_OUT_OF_DESCRIPTORS', false, false],
    ['EOTHER', 'PROXY_IO', false, false],
    ['constructor', 'PROXY_IO', false, false],
  ] as const) {
    it(`maps ${code}`, () => {
      const error = fromIoError(Object.assign(new Error('x'), { code }), 'upstream');
      assert.deepEqual(
        [error.code, isPeerGone(error), error.retryable, error.side],
        [want, gone, retryable, 'upstream'],
      );
    });
  }

  it('takes what is no error', () => {
    assert.equal(fromIoError(null, 'local').code, 'PROXY_IO');
  });
});
