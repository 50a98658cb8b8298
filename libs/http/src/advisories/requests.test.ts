/**
 * Advisories about where a request goes and where it ends: paths, hosts, framing. What policy judged is what the backend gets, or
 * it gets nothing.
 */
import assert from 'node:assert/strict';
import { data, headers } from '@ambit/h2/testing';
import {
  allowTo,
  assertDenied,
  assertPassed,
  assertRefused,
  type Bed,
  denyTo,
  row,
} from '../fixtures/advisory-bed.ts';
import { exchange, headerFrames, openHttp2, statusOf } from '../fixtures/raw-client.ts';

const pathOf = (target: string): string => target.split('?')[0] ?? '';

/** It is refused, or it gets there in a spelling by which a policy would have caught it. */
async function assertCaught(bed: Bed, path: string, wanted: string | undefined): Promise<void> {
  bed.decideBy();
  const status = await bed.ask({ path });
  if (wanted === undefined) {
    assertRefused(bed, status, path);
    return;
  }
  assert.equal(assertPassed(bed, status, path).path, wanted, path);
  bed.decideBy(denyTo({ paths: [pathOf(wanted)] }));
  assertDenied(bed, await bed.ask({ path }), path);
}

row(1, 'CVE-2019-9900, 9901: NUL, and paths as they came', async (bed) => {
  bed.decideBy(denyTo({ paths: ['/admin', '/admin/*'] }));
  for (const path of ['/public/../admin', '/./admin', '/admin/../admin', '/x/..//../admin']) {
    assertDenied(bed, await bed.ask({ path }), path);
  }
  for (const sent of [
    { path: '/a\0' },
    { path: '/\0admin' },
    { path: '/admin%00' },
    { path: '/a%00/../admin' },
    { host: 'a\0b' },
    { method: 'G\0ET' },
    { fields: ['x-a', '\0'] },
    { fields: ['x-a', 'a\0b'] },
    { fields: ['x\0a', 'a'] },
  ]) {
    assertRefused(bed, await bed.ask(sent), JSON.stringify(sent));
  }
});

row(2, 'CVE-2020-8595: an exact path with something behind it', async (bed) => {
  for (const [path, wanted] of [
    ['/admin?x', '/admin?x'],
    ['/admin?', '/admin'],
    ['/admin?/../x', '/admin?/../x'],
    ['/admin#x', undefined],
    ['/admin#', undefined],
    ['/admin;x', '/admin;x'],
    ['/admin;', '/admin;'],
  ] as const) {
    await assertCaught(bed, path, wanted);
  }
  bed.decideBy(denyTo({ paths: ['/admin'] }));
  assertDenied(bed, await bed.ask({ path: '/admin?x' }), 'the query is no part of the path');
});

row(4, 'CVE-2021-31920: slashes in every spelling', async (bed) => {
  for (const [path, wanted] of [
    ['//admin', '//admin'],
    ['/a//b', '/a//b'],
    ['/a%2Fb', '/a%2Fb'],
    ['/a%2fb', '/a%2Fb'],
    ['/a%5Cb', '/a%5Cb'],
    ['/a%5cb', '/a%5Cb'],
    ['/a\\b', '/a/b'],
    ['\\admin', undefined],
    ['/a%252Fb', '/a%252Fb'],
    ['/a%255cb', '/a%255cb'],
    ['/%2561dmin', '/%2561dmin'],
    ['/%61dmin', '/admin'],
    ['/x/%2e%2E/admin', '/admin'],
    ['/x/%2e%2e%2fadmin', '/x/..%2Fadmin'],
    ['/x%2F..%2Fadmin', '/x%2F..%2Fadmin'],
    ['/x\\..\\admin', '/admin'],
    ['/%', undefined],
    ['/%zz', undefined],
    ['/%2', undefined],
  ] as const) {
    await assertCaught(bed, path, wanted);
  }
});

row(6, 'CVE-2021-39156, 32779: fragments', async (bed) => {
  bed.decideBy(denyTo({ paths: ['/admin', '/user/profile'] }));
  for (const path of ['/admin#', '/admin#x', '/#/admin', '/user/profile#section1', '#', '/a?b#c']) {
    assertRefused(bed, await bed.ask({ path }), path);
  }
});

row(20, 'CVE-2026-73511, 73551, 73553: parameters of segments', async (bed) => {
  for (const [path, wanted] of [
    ['/;a=b/admin', '/;a=b/admin'],
    ['/admin;a=b', '/admin;a=b'],
    ['/admin;a=b/x', '/admin;a=b/x'],
    ['/x/..;/admin', '/x/..;/admin'],
    ['/x/.;/admin', '/x/.;/admin'],
    ['/x/..;a=b/admin', '/x/..;a=b/admin'],
    ['/x/;/../admin', '/x/admin'],
    ['/x/%2e%2e;/admin', '/x/..;/admin'],
    ['/x/..%3b/admin', '/x/..%3B/admin'],
    ['/;/admin', '/;/admin'],
  ] as const) {
    await assertCaught(bed, path, wanted);
  }
});

row(5, 'CVE-2021-31921: a name that leads to another service', async (bed) => {
  const other = 'secret.shop.svc.cluster.local';
  for (const host of [other, `${other}:9080`, '10.96.0.2', 'secret', '127.0.0.1:1']) {
    const { authority } = assertPassed(bed, await bed.ask({ host }), host);
    assert.equal(authority, host, 'it goes where the tunnel goes, as it was sent');
  }
  assert.ok(bed.harness.plane.dials <= 2, 'nothing else was dialled');
});

row(7, 'CVE-2021-39155: a host in other letters, with a dot or with a port', async (bed) => {
  const spellings = ['a.example', 'A.Example', 'a.example:80', 'A.EXAMPLE:8080', 'a.example.'];
  bed.decideBy(denyTo({ hosts: ['a.example'] }));
  for (const host of [...spellings, 'a.example.:80']) {
    assertDenied(bed, await bed.ask({ host }), `deny ${host}`);
  }
  assert.equal(assertPassed(bed, await bed.ask({ host: 'b.a.example' }), 'b').path, '/');
  bed.decideBy(allowTo({ notHosts: ['a.example'] }));
  for (const host of spellings) {
    assertDenied(bed, await bed.ask({ host }), `allow all but ${host}`);
  }
  bed.decideBy(allowTo({ hosts: ['a.example', 'a.example:*'] }));
  for (const host of spellings.slice(0, 4)) {
    assertPassed(bed, await bed.ask({ host }), `allow ${host}`);
  }
  for (const host of ['xa.example', 'a.example.com', 'a-example']) {
    assertDenied(bed, await bed.ask({ host }), `allow ${host}`);
  }
  for (const host of ['', 'a.example:', 'a.example,b', 'u@a.example', 'a.example:80:80', 'a b']) {
    assertRefused(bed, await bed.ask({ host }), host);
  }
  bed.decideBy(denyTo({ hosts: ['10.0.0.1', '10.0.0.2:80'] }));
  for (const host of [
    '10.0.0.1',
    '10.0.0.1:81',
    '[::ffff:10.0.0.1]',
    '[::FFFF:a00:2]',
    '10.0.0.2',
  ]) {
    assertDenied(bed, await bed.ask({ host }), `deny ${host}`);
  }
  for (const host of ['10.0.0.01', '0x0a.0.0.1', '167772161', '10.1:80', '10.0.0.1.']) {
    assertRefused(bed, await bed.ask({ host }), host);
  }
});

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nhost: reviews\r\n\r\n';
const upgrade = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nhost: reviews\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`;

row(
  15,
  'CVE-2025-64763, 2026-73548: bytes before an upgrade or CONNECT is accepted',
  async (bed) => {
    const { port } = bed.harness;
    bed.decideBy(denyTo({ paths: ['/admin'] }));
    if (bed.client === 'HTTP/2') {
      const { peer, statuses } = await openHttp2(port);
      const target = [':method', 'CONNECT', ':authority', 'reviews:80'];
      peer.send(
        headers(1, target),
        data(1, SMUGGLED),
        headers(3, [
          ...[':method', 'CONNECT', ':protocol', 'websocket', ':scheme', 'http', ':path', '/ws'],
          ...[':authority', 'reviews'],
        ]),
        data(3, SMUGGLED),
      );
      assertRefused(bed, await statuses(1), 'CONNECT');
      assertRefused(bed, await statuses(3), 'extended CONNECT, which is not offered');
      peer.destroy();
      return;
    }
    const connectLine = 'CONNECT reviews:80 HTTP/1.1\r\nhost: reviews:80\r\n\r\n';
    assertRefused(bed, statusOf(await exchange(port, `${connectLine}${SMUGGLED}`)), 'CONNECT');
    assertDenied(bed, statusOf(await exchange(port, `${upgrade('/admin')}${SMUGGLED}`)), 'denied');
    const answers = await exchange(port, `${upgrade('/ws')}${SMUGGLED}`);
    assert.equal(answers.match(/HTTP\/1\.1 \d/g)?.length, 1, 'one answer, and the connection ends');
    assert.ok(!bed.seen().some(({ path }) => path === '/smuggled'));
  },
);

row(23, 'CVE-2026-73550: what is dropped counts to the limits', async (bed) => {
  const long = 'x'.repeat(15_000);
  const longer = 'x'.repeat(16_500);
  const filled = ['x-a', long, 'x-b', long, 'x-c', long];
  assertPassed(bed, await bed.ask({ fields: filled }), 'three quarters of it');
  for (const [what, fields] of [
    ['what the mesh cuts', ['x-ambit-source', longer]],
    ['what is cut in another spelling', ['x_envoy_a', longer]],
    ['the forged caller', ['x-forwarded-client-cert', longer]],
    ['the pieces of a cookie', ['cookie', longer, 'cookie', 'b']],
  ] as const) {
    assertRefused(bed, await bed.ask({ fields: [...filled, ...fields] }), what);
  }
  assertRefused(bed, await bed.ask({ fields: filled, host: `${'x.'.repeat(8_200)}x` }), 'Host');
  const many = (count: number): string[] =>
    Array.from({ length: count }, (_, at) => [`x-envoy-${at}`, '1']).flat();
  assertPassed(bed, await bed.ask({ fields: many(90) }), 'ninety');
  assertRefused(bed, await bed.ask({ fields: many(101) }), 'a hundred and one');
  if (bed.client === 'HTTP/1.1') {
    const dropped = ['connection', 'x-hop', 'keep-alive', long, 'x-hop', long];
    assertRefused(bed, await bed.ask({ fields: [...filled, ...dropped] }), 'fields of the hop');
    return;
  }
  const { peer, statuses } = await openHttp2(bed.harness.port);
  const post = [':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'a'];
  const trailers = ['x-ambit-source', 'me', ...filled, 'x-d', longer];
  peer.send(headers(1, post), ...headerFrames(1, trailers, 1));
  assert.ok([0, 431].includes(await statuses(1)), 'trailers');
  assert.ok(!bed.seen().some(({ isWhole }) => isWhole), 'and the request stays a part');
  peer.destroy();
});
