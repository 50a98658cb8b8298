import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import { KubeClient } from './client.ts';
import type { KubeCredentials } from './credentials.ts';
import { isKubeError, type KubeError } from './errors.ts';
import { answer, FakeApiServer, fail, type Intercept } from './fake-api-server.ts';
import { KubeHttp } from './http.ts';
import { until, WIDGETS } from './reflector.testing.ts';
import { pathOf } from './resources.ts';

const gvr = { group: 'test.ambit.io', version: 'v1', resource: 'widgets' };
const ref = { namespace: 'a', name: 'w' };

interface Bed extends AsyncDisposable {
  readonly server: FakeApiServer;
  readonly client: KubeClient;
  readonly http: KubeHttp;
}

async function bed(intercept: Intercept, credentials?: Partial<KubeCredentials>): Promise<Bed> {
  const server = new FakeApiServer([WIDGETS]);
  server.intercept = intercept;
  await server.start();
  const http = new KubeHttp({
    credentials: { ...server.credentials, ...credentials },
    clock: systemClock,
  });
  return {
    server,
    http,
    client: new KubeClient({ http }),
    async [Symbol.asyncDispose]() {
      http.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function refusal(work: Promise<unknown>): Promise<KubeError> {
  const error: unknown = await work.then(
    () => undefined,
    (e: unknown) => e,
  );
  assert.ok(isKubeError(error), String(error));
  return error;
}

describe('KubeHttp', () => {
  it('obeys 429 for any method, and gives up after a few', async () => {
    let busy = 2;
    await using b = await bed((_request, response) => {
      busy -= 1;
      if (busy < 0) {
        return false;
      }
      fail(response, 429, 'TooManyRequests', { 'retry-after': '0' });
      return true;
    });
    await b.client.create(gvr, { apiVersion: 'test.ambit.io/v1', kind: 'Widget', metadata: ref });
    assert.equal(b.server.requests.length, 3);
    busy = 100;
    const error = await refusal(b.client.get(gvr, ref));
    assert.equal(error.code, 'KUBE_TOO_MANY_REQUESTS');
    assert.equal(error.retryable, true);
    assert.equal(error.retryAfterMs, 0);
    assert.equal(b.server.requests.length, 7);
  });

  it('leaves a long wait to the caller', async () => {
    await using b = await bed((_request, response) => {
      fail(response, 429, 'TooManyRequests', { 'retry-after': '60' });
      return true;
    });
    const error = await refusal(b.client.get(gvr, ref));
    assert.equal(error.retryAfterMs, 60_000);
    assert.equal(b.server.requests.length, 1);
  });

  it('renews the credentials once after a 401', async () => {
    let invalidated = 0;
    const invalidate = (): void => {
      invalidated += 1;
    };
    await using b = await bed(
      (_request, response) => {
        fail(response, 401, 'Unauthorized');
        return true;
      },
      { invalidate },
    );
    assert.equal((await refusal(b.client.get(gvr, ref))).code, 'KUBE_UNAUTHORIZED');
    assert.equal(invalidated, 1);
    assert.equal(b.server.requests.length, 2);
  });

  it('repeats no write whose answer was lost, and says that it may have happened', async () => {
    await using b = await bed((_request, response) => {
      response.destroy();
      return true;
    });
    const widget = { apiVersion: 'test.ambit.io/v1', kind: 'Widget', metadata: ref };
    const error = await refusal(b.client.create(gvr, widget));
    assert.equal(error.code, 'KUBE_CONNECTION_FAILED');
    assert.equal(error.retryable, false);
    assert.equal(b.server.requests.length, 1);
    assert.equal((await refusal(b.client.get(gvr, ref))).retryable, true);
  });

  it('refuses answers that are no objects', async () => {
    const answers: readonly [string, string][] = [
      ['<html>', 'KUBE_PROTOCOL'],
      ['', 'KUBE_PROTOCOL'],
      ['null', 'KUBE_PROTOCOL'],
      ['{"metadata":null}', 'KUBE_PROTOCOL'],
    ];
    for (const [body, code] of answers) {
      await using b = await bed((_request, response) => {
        response.end(body);
        return true;
      });
      assert.equal((await refusal(b.client.get(gvr, ref))).code, code, body);
    }
  });

  it('refuses an answer without end', async () => {
    await using b = await bed((_request, response) => {
      const block = Buffer.alloc(4 * 1024 * 1024, 0x20);
      const write = (error?: Error | null): void => {
        if (error === undefined || error === null) {
          response.write(block, write);
        }
      };
      write();
      return true;
    });
    assert.equal((await refusal(b.client.get(gvr, ref))).code, 'KUBE_TOO_LARGE');
  });

  it('does not wait for ever for an answer', async () => {
    const server = new FakeApiServer([]);
    server.intercept = () => true;
    await server.start();
    const clock = new FakeClock();
    const http = new KubeHttp({ credentials: server.credentials, clock });
    const asked = refusal(http.json({ method: 'GET', path: '/version' }));
    await until(() => server.requests.length === 1);
    clock.advance(30_000);
    assert.equal((await asked).code, 'KUBE_TIMEOUT');
    http.close();
    await server[Symbol.asyncDispose]();
  });

  it('says who cannot be reached', async () => {
    await using b = await bed(() => false, { server: 'http://127.0.0.1:1' });
    const error = await refusal(b.client.delete(gvr, ref));
    assert.equal(error.code, 'KUBE_CONNECTION_FAILED');
    assert.equal(error.retryable, true);
    assert.match(error.message, /ECONNREFUSED/);
  });

  it('ends a request with its signal', async () => {
    const abort = new AbortController();
    await using b = await bed(() => true);
    const asked = b.client.get(gvr, ref, { signal: abort.signal });
    await until(() => b.server.requests.length === 1);
    abort.abort(new Error('enough'));
    await assert.rejects(asked, { message: 'enough' });
  });

  it('keeps the connection for the next request', async () => {
    const ports = new Set<number | undefined>();
    await using b = await bed((_request, response) => {
      ports.add(response.socket?.remotePort);
      answer(response, 200, { metadata: {} });
      return true;
    });
    for (let i = 0; i < 3; i += 1) {
      await b.client.get(gvr, ref);
    }
    assert.equal(ports.size, 1);
  });
});

describe('pathOf', () => {
  it('makes paths of all forms', () => {
    const pods = { group: '', version: 'v1', resource: 'pods' };
    assert.equal(pathOf(pods), '/api/v1/pods');
    assert.equal(pathOf(pods, { namespace: 'a' }), '/api/v1/namespaces/a/pods');
    assert.equal(
      pathOf(gvr, { ...ref, subresource: 'status' }),
      '/apis/test.ambit.io/v1/namespaces/a/widgets/w/status',
    );
    assert.equal(pathOf(gvr, { name: 'a/b?c' }), '/apis/test.ambit.io/v1/widgets/a%2Fb%3Fc');
  });

  it('refuses parts that would name something else', () => {
    for (const part of ['', '.', '..']) {
      assert.throws(() => pathOf(gvr, { name: part }), { code: 'KUBE_CONFIG_INVALID' });
      assert.throws(() => pathOf(gvr, { namespace: part }), { code: 'KUBE_CONFIG_INVALID' });
      assert.throws(() => pathOf(gvr, { ...ref, subresource: part }), {
        code: 'KUBE_CONFIG_INVALID',
      });
    }
  });
});
