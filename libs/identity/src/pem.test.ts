import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { IdentityError } from './errors.ts';
import { decodePem, encodePem, PEM_BLOCKS_MAX, PEM_BYTES_MAX, parseCertificates } from './pem.ts';

const LABELS = { labels: ['CERTIFICATE'] };
const one = encodePem('CERTIFICATE', Buffer.from('hello'));

describe('decodePem', () => {
  it('reads back what encodePem writes, for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        const [block] = decodePem(encodePem('CERTIFICATE', bytes), LABELS);
        assert.deepEqual(new Uint8Array(block ?? []), bytes);
      }),
    );
  });

  it('accepts several blocks, CRLF, and white space between them', () => {
    assert.equal(decodePem(`\n${one}\n\n${one.replaceAll('\n', '\r\n')}`, LABELS).length, 2);
    assert.equal(decodePem(one.trimEnd(), LABELS).length, 1);
  });

  const refused: Record<string, string> = {
    nothing: '',
    'text alone': 'hello',
    'text before': `hello\n${one}`,
    'text after': `${one}hello`,
    'another label': encodePem('PRIVATE KEY', Buffer.from('hello')),
    'no end': one.replace(/-----END.*/s, ''),
    'other end': one.replace('-----END CERTIFICATE', '-----END CERT'),
    'bad base64': one.replace('aGVsbG8=', 'aGVsbG8'),
    headers: one.replace('\naGV', '\nProc-Type: 4,ENCRYPTED\n\naGV'),
    'too long': `${one}${' '.repeat(PEM_BYTES_MAX)}`,
    'too many blocks': one.repeat(PEM_BLOCKS_MAX + 1),
  };
  for (const [name, text] of Object.entries(refused)) {
    it(`refuses ${name}`, () => {
      assert.throws(() => decodePem(text, LABELS), { code: 'IDENTITY_PEM_INVALID' });
    });
  }

  it('throws nothing but its own error, and in linear time', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.constantFrom(
            '-----BEGIN CERTIFICATE-----',
            '-----END CERTIFICATE-----',
            '\n',
            'AAAA',
            '=',
            ' ',
          ),
        ),
        (parts) => {
          try {
            decodePem(parts.join(''), LABELS);
          } catch (error) {
            assert.ok(error instanceof IdentityError, String(error));
          }
        },
      ),
    );
    assert.throws(() => decodePem(`-----BEGIN CERTIFICATE-----\n${'A\n'.repeat(100_000)}`, LABELS));
  });
});

describe('parseCertificates', () => {
  it('refuses bytes that are no certificate', () => {
    assert.throws(() => parseCertificates(one), { code: 'IDENTITY_PEM_INVALID' });
  });
});
