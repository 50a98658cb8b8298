import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createOwnRoot } from '@ambit/identity';
import { KubeError } from '@ambit/kube';
import type { AdminCa } from '@ambit/model';

import { ControllerError } from '../errors.ts';
import { type CaRotation, caRoutes, describeFixed, fixedCa } from './ca-routes.ts';

const CA: AdminCa = {
  trustDomain: 'x',
  source: 'here',
  step: 'none',
  roots: [],
  proxies: 0,
  waiting: [],
};

async function ask(rotation: CaRotation, method: string, path: string, query = '') {
  const route = caRoutes(rotation).find((one) => one.method === method && one.path === path);
  assert.ok(route !== undefined);
  const request = { method, path, query: new URLSearchParams(query), body: '', accept: '' };
  const { status = 200, body } = await route.handle(request);
  return { status, body: JSON.parse(String(body)) as Record<string, unknown> };
}

describe('caRoutes', () => {
  it('answer with the CA, and take steps', async () => {
    const forced: unknown[] = [];
    const rotation: CaRotation = {
      describe: () => Promise.resolve(CA),
      next: ({ isForced, from }) => {
        forced.push(isForced, from);
        return Promise.resolve({ ...CA, step: 'distribute' });
      },
      abort: () => Promise.resolve(CA),
    };
    assert.deepEqual((await ask(rotation, 'GET', '/v1/ca')).body, CA);
    const next = '/v1/ca/rotate/next';
    assert.equal((await ask(rotation, 'POST', next)).body['step'], 'distribute');
    await ask(rotation, 'POST', next, 'force=true&from=sign');
    await ask(rotation, 'POST', next, 'force=yes');
    assert.deepEqual(forced, [false, undefined, true, 'sign', false, undefined]);
    assert.equal((await ask(rotation, 'POST', '/v1/ca/rotate/abort')).status, 200);
  });

  for (const [what, error, status] of [
    [
      'a refused step',
      new ControllerError('CONTROLLER_ROTATION_REFUSED', 'why', { retryable: true }),
      409,
    ],
    [
      'a Secret that cannot be used',
      new ControllerError('CONTROLLER_CA_SECRET_INVALID', 'why'),
      503,
    ],
    ['an API server that is away', new KubeError('KUBE_CONNECTION_FAILED', 'why'), 503],
  ] as const) {
    it(`answer ${status} for ${what}`, async () => {
      const fail = () => Promise.reject(error);
      const rotation = { describe: fail, next: fail, abort: fail };
      const { body, ...answer } = await ask(rotation, 'POST', '/v1/ca/rotate/next');
      assert.equal(answer.status, status);
      assert.deepEqual(body, { error: 'why', code: error.code, retryable: error.retryable });
    });
  }

  it('leave a bug to the server', async () => {
    const fail = () => Promise.reject(new TypeError('bug'));
    await assert.rejects(
      ask({ describe: fail, next: fail, abort: fail }, 'GET', '/v1/ca'),
      TypeError,
    );
  });

  it('describe a CA in files', () => {
    const root = (commonName: string): string =>
      createOwnRoot({ trustDomain: 'x', nowMs: Date.now(), commonName }).roots;
    const described = (rootBundlePem: string) =>
      describeFixed({
        authority: { isOpen: rootBundlePem !== '', rootBundlePem, trustDomain: 'x' },
        source: 'folder "/ca"',
        why: 'its key is in a folder',
        proxies: 2,
      });
    assert.deepEqual(described('').roots, []);
    const [only] = described(root('a')).roots;
    assert.equal(only?.name, 'O=x, CN=a');
    assert.equal(only.use, 'signs');
    assert.deepEqual(
      described(root('a') + root('b')).roots.map(({ use }) => use),
      ['trusted', 'trusted'],
    );
  });

  it('rotate nothing that is fixed', async () => {
    const rotation = fixedCa(() => ({ ...CA, fixedBecause: 'it is in a folder' }));
    assert.equal((await ask(rotation, 'GET', '/v1/ca')).status, 200);
    for (const path of ['/v1/ca/rotate/next', '/v1/ca/rotate/abort']) {
      const { status, body } = await ask(rotation, 'POST', path);
      assert.equal(status, 409);
      assert.equal(body['error'], 'it is in a folder');
    }
  });
});
