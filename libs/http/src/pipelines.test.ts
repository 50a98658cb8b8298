/** Requests that a client sends without waiting for answers: one after the other, on one connection up. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startBackend, startHarness } from './fixtures/harness.ts';
import { exchange } from './fixtures/raw-client.ts';

const HOST = 'host: reviews\r\n';

describe('a pipeline of HTTP/1.1', () => {
  for (const [what, requests] of [
    [
      'requests without bodies',
      [`GET /1 HTTP/1.1\r\n${HOST}\r\n`, `GET /2 HTTP/1.1\r\n${HOST}\r\n`],
    ],
    [
      'requests with bodies',
      [
        `POST /1 HTTP/1.1\r\n${HOST}content-length: 3\r\n\r\nabc`,
        `POST /2 HTTP/1.1\r\n${HOST}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
      ],
    ],
  ] as const) {
    it(`needs one connection: ${what}`, async () => {
      const seen: string[] = [];
      await using backend = await startBackend((request, response) => {
        seen.push(request.url ?? '');
        request.resume().once('end', () => response.end('ok'));
      });
      await using harness = await startHarness({ backends: [{ name: 'v1', port: backend.port }] });
      const last = `GET /3 HTTP/1.1\r\n${HOST}connection: close\r\n\r\n`;
      const answers = await exchange(harness.port, [...requests, last].join(''));
      assert.equal(answers.match(/HTTP\/1\.1 200/g)?.length, 3);
      assert.deepEqual(seen, ['/1', '/2', '/3']);
      assert.equal(harness.plane.dials, 1);
    });
  }
});
