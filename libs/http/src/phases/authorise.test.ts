/** Policy before everything that answers: also where no endpoint is ever asked. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { REFUSAL_ANSWER } from '@ambit/policy';
import { ask } from '../fixtures/client.ts';
import { startHarness } from '../fixtures/harness.ts';

const RULES = {
  kind: 'VirtualService',
  spec: {
    hosts: ['reviews'],
    http: [
      { match: [{ uri: { exact: '/direct' } }], directResponse: { status: 200 } },
      { match: [{ uri: { exact: '/away' } }], redirect: { authority: 'secret.example' } },
      {
        match: [{ uri: { exact: '/fault' } }],
        fault: { abort: { percentage: { value: 100 }, httpStatus: 555 } },
        route: [{ destination: { host: 'reviews' } }],
      },
      { match: [{ uri: { exact: '/nobody' } }], route: [{ destination: { host: 'reviews' } }] },
    ],
  },
};

describe('a refused request', () => {
  for (const [path, otherwise] of [
    ['/direct', 200],
    ['/away', 301],
    ['/fault', 555],
    ['/nobody', 503],
    ['/unknown', 404],
  ] as const) {
    it(`learns nothing of what ${path} would have answered`, async () => {
      await using open = await startHarness({ backends: [], objects: [RULES] });
      assert.equal((await ask({ port: open.port, path })).status, otherwise);
      const deny = { kind: 'AuthorizationPolicy', spec: {} };
      await using closed = await startHarness({ backends: [], objects: [RULES, deny] });
      const answer = await ask({ port: closed.port, path });
      assert.deepEqual([answer.status, answer.body], [403, 'RBAC: access denied']);
      assert.deepEqual({ status: answer.status, body: answer.body }, REFUSAL_ANSWER);
      assert.equal(answer.headers.location, undefined);
    });
  }

  it('is not told that a policy is missing: the answer is that of a refusal', async () => {
    await using open = await startHarness({ backends: [], missing: ['shop/late'] });
    const { status, body } = await ask({ port: open.port, path: '/' });
    assert.deepEqual({ status, body }, REFUSAL_ANSWER);
    assert.match((await open.nextRequest()).error?.code ?? '', /HTTP_NOT_CONFIGURED/);
  });
});
