/** Parsers of what peers send: tables, and properties over arbitrary text. */
import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { describe, it } from 'node:test';
import { formatAuthority } from '@ambit/api';
import fc from 'fast-check';

import { type Baggage, formatBaggage, parseBaggage } from './baggage.ts';
import { ConnectTargetError, parseConnectTarget } from './connect-target.ts';
import { formatForwarded, forwardedHost, newTraceparent, parseTraceparent } from './headers.ts';

const anyText = fc.oneof(fc.string(), fc.string({ unit: 'binary' }));
const nearAuthority = fc
  .array(
    fc.constantFrom('[', ']', ':', '.', '::', 'a', 'f', '0', '1', '255', '-', '_', '%', '0x7f'),
  )
  .map((parts) => parts.join(''));

describe('parseConnectTarget', () => {
  it('gives a valid target or its own error, for any text', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, nearAuthority), (text) => {
        try {
          const target = parseConnectTarget(text);
          assert.ok(target.port >= 1 && target.port <= 65_535);
          assert.equal(isIP(target.host) !== 0, target.kind === 'ip');
          assert.ok(target.host.length <= 253);
          assert.deepEqual(parseConnectTarget(formatAuthority(target.host, target.port)), target);
        } catch (error) {
          assert.ok(error instanceof ConnectTargetError, String(error));
          assert.ok(error.message.length < 400);
        }
      }),
    );
  });

  it('reads back every address and port', () => {
    const port = fc.integer({ min: 1, max: 65_535 });
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), port, (host, p) => {
        const target = parseConnectTarget(host.includes(':') ? `[${host}]:${p}` : `${host}:${p}`);
        assert.equal(target.port, p);
        assert.equal(target.kind, 'ip');
      }),
    );
  });

  for (const [authority, host] of [
    ['[::ffff:10.0.0.7]:80', '10.0.0.7'],
    ['[FD00:0::7]:80', 'fd00::7'],
    ['Web.Shop.SVC:80', 'web.shop.svc'],
    ['a_b.shop:80', 'a_b.shop'],
    ['reviews.2024:80', 'reviews.2024'],
    ['reviews.shop.:80', 'reviews.shop'],
  ] as const) {
    it(`makes ${authority} canonical`, () => {
      assert.equal(parseConnectTarget(authority).host, host);
    });
  }

  for (const authority of [
    '10.0.0.7:080',
    '10.0.0.7:+80',
    '10.0.0.256:80',
    '10.0.7:80',
    '10.0.0.07:80',
    '10.0.0.7.:80',
    '0x0a.0.0.7:80',
    '2130706433:80',
    '[fe80::1%eth0]:80',
    '[::]x:80',
    'user@a:80',
    'a..b:80',
    '.a:80',
    'a:80/',
    'a:80\n',
    'a\u3002b:80',
    'a\u0000b:80',
    `${'a'.repeat(64)}.b:80`,
  ]) {
    it(`refuses ${JSON.stringify(authority)}`, () => {
      assert.throws(() => parseConnectTarget(authority), ConnectTargetError);
    });
  }
});

describe('baggage', () => {
  const FULL: Baggage = {
    clusterId: 'Kubernetes',
    namespace: 'shop',
    workloadType: 'deployment',
    workloadName: 'reviews-v1',
    canonicalName: 'reviews',
    canonicalRevision: 'v1',
    region: 'eu',
    zone: 'eu-1',
  };

  it('is written in the order of the reference and read back', () => {
    const text = formatBaggage(FULL);
    assert.equal(
      text,
      'k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=reviews-v1,service.name=reviews,service.version=v1,cloud.region=eu,cloud.availability_zone=eu-1',
    );
    assert.deepEqual(parseBaggage(text), FULL);
  });

  it('never throws, never repeats what it would not write', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const once = parseBaggage(text);
        assert.deepEqual(parseBaggage(formatBaggage(once)), once);
      }),
    );
  });

  it('keeps separators and line breaks out of what it writes', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const written = formatBaggage({ namespace: text, canonicalName: 'x' });
        assert.match(written, /^[\x21-\x7e]*$/);
        assert.equal(parseBaggage(written).canonicalName, 'x');
        assert.ok(!written.includes(',k8s'));
      }),
    );
  });

  for (const [text, want] of [
    ['', {}],
    ['service.name=', {}],
    ['service.name', {}],
    ['=x,service.name=a=b', {}],
    ['other=1, service.name = a', { canonicalName: 'a' }],
    ['service.name=é', {}],
    ['x'.repeat(5000), {}],
  ] as const) {
    it(`reads ${JSON.stringify(text.slice(0, 40))}`, () => {
      assert.deepEqual(parseBaggage(text), want);
    });
  }
});

describe('forwarded', () => {
  it('is written as the reference does', () => {
    assert.equal(
      formatForwarded({ address: 'fd00::1', port: 1, host: 'a.b' }),
      'for="[fd00::1]:1";host=a.b',
    );
  });

  for (const [text, host] of [
    ['for="1.2.3.4:5";host=Web.Shop', 'web.shop'],
    ['host="web.shop"', 'web.shop'],
    ['for="host=evil"', undefined],
    ['host=a b', undefined],
    ['host=', undefined],
    [undefined, undefined],
    [`host=${'a'.repeat(2000)}`, undefined],
  ] as const) {
    it(`reads ${String(text).slice(0, 40)}`, () => assert.equal(forwardedHost(text), host));
  }
});

describe('traceparent', () => {
  it('is fresh and valid', () => {
    const [first, second] = [newTraceparent(), newTraceparent()];
    assert.notEqual(first, second);
    assert.equal(first.length, 55);
    assert.equal(parseTraceparent(first)?.isSampled, false);
  });

  for (const text of [
    undefined,
    '',
    `01-${'a'.repeat(32)}-${'b'.repeat(16)}-00`,
    `00-${'0'.repeat(32)}-${'b'.repeat(16)}-00`,
    `00-${'A'.repeat(32)}-${'b'.repeat(16)}-00`,
    `00-${'a'.repeat(32)}-${'b'.repeat(16)}-00-x`,
  ]) {
    it(`refuses ${String(text).slice(0, 20)}`, () =>
      assert.equal(parseTraceparent(text), undefined));
  }
});
