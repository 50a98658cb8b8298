import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DURATION_MS_MAX, formatDuration, parseDuration } from './duration.ts';
import { compareHostSpecificity, completeHost, hostMatches, isHostname } from './host.ts';
import { canonicalIp, cidrContains, formatCidr, parseCidr, parseIp } from './ip.ts';
import { matchesLabels, objectKey } from './object-key.ts';
import { formatPath, parsePath } from './path.ts';
import { expandPattern } from './pattern.ts';
import { compileRegex } from './regex.ts';
import { nearestName } from './suggest.ts';

describe('parseDuration', () => {
  const ROWS: readonly (readonly [string, number | undefined])[] = [
    ['5s', 5000],
    ['0.5s', 500],
    ['1.001s', 1001],
    ['100ms', 100],
    ['1h30m', 5_400_000],
    ['0s', 0],
    ['500us', 0.5],
    ['1ns', 0.000_001],
    ['8760h', DURATION_MS_MAX],
    ['8761h', undefined],
    ['5', undefined],
    ['', undefined],
    ['s', undefined],
    ['-5s', undefined],
    ['5 s', undefined],
    ['5S', undefined],
    ['1e3s', undefined],
    ['.5s', undefined],
    ['1d', undefined],
  ];
  for (const [text, ms] of ROWS) {
    it(`${ms === undefined ? 'refuses' : 'reads'} "${text}"`, () =>
      assert.equal(parseDuration(text), ms));
  }

  it('reads back what is printed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e12 }), (us) => {
        const ms = us / 1000;
        if (ms > DURATION_MS_MAX) return;
        assert.equal(parseDuration(formatDuration(ms)), ms);
      }),
    );
  });
});

describe('addresses', () => {
  const IPS: readonly (readonly [string, string | undefined])[] = [
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:a00:1', '10.0.0.1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['::', '::'],
    ['10.0.0.01', undefined],
    ['10.1', undefined],
    ['0x7f.1.1.1', undefined],
    ['256.0.0.1', undefined],
    ['fe80::1%eth0', undefined],
    ['[::1]', undefined],
    ['10.0.0.1:80', undefined],
    ['', undefined],
  ];
  for (const [text, canonical] of IPS) {
    it(`${canonical === undefined ? 'refuses' : 'reads'} "${text}"`, () =>
      assert.equal(canonicalIp(text), canonical));
  }

  const CIDRS: readonly (readonly [string, string | undefined])[] = [
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['10.0.0.1', '10.0.0.1/32'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8'],
    ['2001:db8::1/33', '2001:db8::/33'],
    ['10.0.0.0/33', undefined],
    ['10.0.0.0/', undefined],
    ['10.0.0.0/08', undefined],
    ['10.0.0.0/8/8', undefined],
    ['::ffff:10.0.0.0/8', undefined],
    ['::/129', undefined],
    ['a/8', undefined],
  ];
  for (const [text, canonical] of CIDRS) {
    it(`${canonical === undefined ? 'refuses' : 'reads'} "${text}"`, () => {
      const cidr = parseCidr(text);
      assert.equal(cidr === undefined ? undefined : formatCidr(cidr), canonical);
    });
  }

  it('contains by bits and never across families', () => {
    const contains = (cidr: string, ip: string) =>
      cidrContains(parseCidr(cidr) ?? assert.fail(), parseIp(ip) ?? assert.fail());
    assert.ok(contains('10.0.0.0/9', '10.127.255.255'));
    assert.ok(!contains('10.0.0.0/9', '10.128.0.0'));
    assert.ok(contains('10.0.0.0/8', '::ffff:10.9.9.9'));
    assert.ok(!contains('0.0.0.0/0', '::1'));
    assert.ok(contains('::/0', '2001:db8::1'));
    assert.ok(!contains('10.0.0.1/32', '10.0.0.2'));
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.ipV4Extended()), (text) => {
        const ip = canonicalIp(text);
        if (ip !== undefined) assert.equal(canonicalIp(ip), ip);
        parseCidr(`${text}/24`);
      }),
    );
  });
});

describe('hosts', () => {
  it('completes only names without a dot', () => {
    assert.equal(
      completeHost('reviews', 'shop', 'cluster.local'),
      'reviews.shop.svc.cluster.local',
    );
    assert.equal(completeHost('reviews.prod', 'shop', 'cluster.local'), 'reviews.prod');
    assert.equal(completeHost('Api.Example.COM.', 'shop', 'cluster.local'), 'api.example.com');
    assert.equal(completeHost('*', 'shop', 'cluster.local'), '*');
  });

  it('lets a wildcard cover one or more leading labels', () => {
    assert.ok(hostMatches('*.b.c', 'a.b.c'));
    assert.ok(hostMatches('*.b.c', 'x.a.B.c'));
    assert.ok(!hostMatches('*.b.c', 'b.c'));
    assert.ok(!hostMatches('*.b.c', 'ab.c'));
    assert.ok(hostMatches('*', 'a'));
    assert.ok(!hostMatches('a.b', 'b.a.b'));
  });

  it('puts the most specific first', () => {
    const hosts = ['*', '*.c', 'z.b.c', '*.b.c', 'a.b.c'];
    assert.deepEqual(hosts.sort(compareHostSpecificity), ['a.b.c', 'z.b.c', '*.b.c', '*.c', '*']);
  });

  it('knows a DNS name', () => {
    for (const good of ['a', 'a.b', 'a_b.c', 'a.b.'])
      assert.ok(isHostname(good, { wildcard: false }), good);
    for (const bad of [
      '',
      '*',
      '*.a',
      'a..b',
      '-a',
      'a b',
      'a:80',
      'a/b',
      'x'.repeat(254),
      `${'x'.repeat(64)}.a`,
    ]) {
      assert.ok(!isHostname(bad, { wildcard: false }), bad);
    }
    assert.ok(isHostname('*.a', { wildcard: true }));
    assert.ok(!isHostname('a.*', { wildcard: true }));
    assert.ok(!isHostname('*a', { wildcard: true }));
  });
});

describe('compileRegex', () => {
  const regexOf = (pattern: string) => {
    const result = compileRegex(pattern);
    return result.kind === 'ok' ? result.regex : assert.fail(result.message);
  };

  it('matches the whole text only', () => {
    assert.ok(regexOf('a|ab').matches('ab'));
    assert.ok(!regexOf('a').matches('ab'));
    assert.ok(!regexOf('b').matches('ab'));
  });

  it('replaces with groups', () => {
    const { replaceAll } = regexOf('^/api/(\\w+)(/.*)?$');
    assert.equal(replaceAll('/api/v1/x', '/\\1\\2'), '/v1/x');
    assert.equal(replaceAll('/api/v1', '/$1-\\0-\\9'), '/$1-/api/v1-');
    assert.equal(regexOf('a').replaceAll('aba', 'x'), 'xbx');
  });

  for (const bad of [
    '',
    '(',
    'a(?=b)',
    '(a)\\1',
    '*',
    'a{2000}',
    'x'.repeat(1025),
    '((a{10}){10}){11}'.repeat(20),
  ]) {
    it(`refuses ${bad.slice(0, 20)}`, () => assert.equal(compileRegex(bad).kind, 'error'));
  }

  it('stays linear on what makes a backtracking engine stall', () => {
    assert.ok(!regexOf('(a+)+b').matches('a'.repeat(20_000)));
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), fc.string(), (pattern, text) => {
        const result = compileRegex(pattern);
        if (result.kind === 'ok') {
          result.regex.matches(text);
          result.regex.replaceAll(text, pattern);
        }
      }),
    );
  });
});

describe('paths and patterns', () => {
  it('prints a path that reads back', () => {
    const path = ['metadata', 'labels', 'app.kubernetes.io/name', 3, 'a"b', 'x'];
    assert.equal(formatPath(path), 'metadata.labels["app.kubernetes.io/name"][3]["a\\"b"].x');
    assert.deepEqual(parsePath(formatPath(path)), path);
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.string(), fc.nat())), (any) => {
        assert.deepEqual(parsePath(formatPath(any)), any);
      }),
    );
  });

  it('expands lists, keys and prefixes', () => {
    const root = { a: [{ b: 1 }, { c: 2 }, { b: 3 }], m: { 'x/1': 1, 'x/2': 2, y: 3 } };
    assert.deepEqual(expandPattern(root, 'a[].b').map(formatPath), ['a[0].b', 'a[2].b']);
    assert.deepEqual(expandPattern(root, 'm.{x/}').map(formatPath), ['m["x/1"]', 'm["x/2"]']);
    assert.deepEqual(expandPattern(root, 'm.*').length, 3);
    assert.deepEqual(expandPattern(root, 'z.b'), []);
    assert.deepEqual(expandPattern(root, 'm.constructor'), []);
  });

  it('suggests near names only', () => {
    assert.equal(nearestName('weigth', ['weight', 'host']), 'weight');
    assert.equal(nearestName('per_try_timeout', ['perTryTimeout']), 'perTryTimeout');
    assert.equal(nearestName('zzz', ['weight']), undefined);
  });
});

describe('objects', () => {
  it('have keys', () => {
    assert.equal(objectKey({ kind: 'Pod', metadata: { name: 'a', namespace: 'b' } }), 'Pod/b/a');
    assert.equal(
      objectKey({ kind: 'Namespace', metadata: { name: 'a', namespace: '' } }),
      'Namespace/a',
    );
  });

  it('fit selectors', () => {
    assert.ok(matchesLabels({}, {}));
    assert.ok(matchesLabels({ a: 'b' }, { a: 'b', c: 'd' }));
    assert.ok(!matchesLabels({ a: 'b' }, { a: 'c' }));
    assert.ok(!matchesLabels({ constructor: '' }, {}));
  });
});
