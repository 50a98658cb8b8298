/** Fields that are no ASCII: what people write is UTF-8 on the wire, in both versions, for routes, policies and what is set. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertDenied, assertPassed, onEveryListener, valuesOf } from './fixtures/advisory-bed.ts';
import { startHarness } from './fixtures/harness.ts';
import { exchange, headerFrames, openHttp2 } from './fixtures/raw-client.ts';

const TEXT = 'caf\u00e9 \u65e5\u{1f600}';
/** Its bytes, one character for each. */
const SENT = Buffer.from(TEXT).toString('latin1');
/** The same word in the encoding that HTTP once had. */
const LATIN1 = 'caf\xe9';

const when = (spec: object) => ({
  ...spec,
  rules: [{ when: [{ key: 'request.headers[x-name]', values: [TEXT] }] }],
});
const ROUTE = {
  kind: 'VirtualService',
  spec: {
    hosts: ['reviews'],
    http: [
      {
        match: [
          { headers: { 'x-name': { exact: TEXT } } },
          { headers: { 'x-name': { regex: 'caf\u00e9 ..!' } } },
        ],
        headers: { request: { set: { 'x-set': TEXT }, add: { 'x-name': TEXT } } },
        route: [{ destination: { host: 'reviews' } }],
      },
      {
        match: [{ withoutHeaders: { 'x-name': { prefix: 'caf\u00e9' } } }],
        headers: { request: { set: { 'x-set': 'without' } } },
        route: [{ destination: { host: 'reviews' } }],
      },
      { route: [{ destination: { host: 'reviews' } }] },
    ],
  },
};

onEveryListener(
  'a field beyond ASCII',
  async (bed) => {
    for (const [value, set, added] of [
      [SENT, [SENT], [SENT, SENT]],
      [`${SENT}!`, [SENT], [`${SENT}!`, SENT]],
      [LATIN1, ['without'], [LATIN1]],
      ['\xc3', ['without'], ['\xc3']],
      [`${SENT}?`, [], [`${SENT}?`]],
      ['cafe', ['without'], ['cafe']],
    ] as const) {
      const status = await bed.ask({ fields: ['x-name', value] });
      const received = assertPassed(bed, status, value);
      assert.deepEqual(valuesOf(received, 'x-set'), set, value);
      assert.deepEqual(valuesOf(received, 'x-name'), added, value);
    }
    bed.decideBy(when({ action: 'DENY' }));
    assertDenied(bed, await bed.ask({ fields: ['x-name', SENT] }), 'DENY');
    assertPassed(bed, await bed.ask({ fields: ['x-name', LATIN1] }), 'DENY of another');
    bed.decideBy(when({ action: 'ALLOW' }));
    assertPassed(bed, await bed.ask({ fields: ['x-name', SENT] }), 'ALLOW');
    assertDenied(bed, await bed.ask({ fields: ['x-name', LATIN1] }), 'ALLOW of another');
  },
  { objects: [ROUTE] },
);

describe('an answer with fields beyond ASCII', () => {
  it('has them in UTF-8, in both versions', async () => {
    const headers = { response: { set: { 'x-set': TEXT } } };
    await using harness = await startHarness({
      backends: [],
      objects: [
        {
          kind: 'VirtualService',
          spec: {
            hosts: ['reviews'],
            http: [
              { match: [{ uri: { prefix: '/go' } }], redirect: { uri: '/caf\u00e9' }, headers },
              { directResponse: { status: 200 }, headers },
            ],
          },
        },
      ],
    });
    const ask = (path: string): string =>
      `GET ${path} HTTP/1.1\r\nhost: reviews\r\nconnection: close\r\n\r\n`;
    assert.ok((await exchange(harness.port, ask('/'))).includes(`\r\nx-set: ${SENT}\r\n`));
    const redirect = await exchange(harness.port, ask('/go'));
    assert.ok(redirect.includes('\r\nlocation: http://reviews/caf\xc3\xa9\r\n'), redirect);
    const { peer, statuses } = await openHttp2(harness.port);
    const asked = [':method', 'GET', ':scheme', 'http', ':path', '/go', ':authority', 'reviews'];
    peer.send(...headerFrames(1, asked, 1));
    assert.equal(await statuses(1), 301);
    peer.destroy();
    const said = peer.frames.join('\n');
    assert.ok(said.includes(`x-set=${SENT}`) && said.includes('/caf\xc3\xa9'), said);
  });
});
