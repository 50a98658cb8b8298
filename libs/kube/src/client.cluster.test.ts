import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { KubeClient } from './client.ts';
import { type Condition, mergeConditions } from './conditions.ts';
import { isKubeError, type KubeError } from './errors.ts';
import { KubeHttp } from './http.ts';
import { loadKubeconfig } from './kubeconfig.ts';
import { LeaderElection } from './lease.ts';
import { until } from './reflector.testing.ts';
import { StatusWriter } from './status-writer.ts';
import { openTestCluster, type TestCluster } from './test-cluster.ts';

const core = (resource: string) => ({ group: '', version: 'v1', resource });
const CONFIG_MAPS = core('configmaps');
const SERVICES = core('services');

let cluster: TestCluster;
let client: KubeClient;
before(async () => {
  cluster = await openTestCluster('kube-client');
  client = cluster.client;
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
});

function configMap(namespace: string, data: Record<string, string>) {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace, name: 'm', labels: { app: 'x' } },
    data,
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

describe('KubeClient on a real API server', () => {
  it('makes, reads, changes and deletes objects', async () => {
    const namespace = await cluster.namespace();
    const ref = { namespace, name: 'm' };
    await client.create(CONFIG_MAPS, configMap(namespace, { a: '1' }));
    assert.deepEqual((await client.get(CONFIG_MAPS, ref))['data'], { a: '1' });
    const patched = await client.patch(CONFIG_MAPS, ref, {
      type: 'merge',
      patch: { data: { b: '2' } },
    });
    assert.deepEqual(patched['data'], { a: '1', b: '2' });
    const listed = await client.list(CONFIG_MAPS, { namespace, labelSelector: 'app=x' });
    assert.deepEqual(
      listed.map((object) => object.metadata.name),
      ['m'],
    );
    await client.delete(CONFIG_MAPS, ref);
    assert.equal(await client.find(CONFIG_MAPS, ref), undefined);
  });

  it('applies what we own, leaves what others own, and removes what we no longer say', async () => {
    const namespace = await cluster.namespace();
    await client.create(CONFIG_MAPS, configMap(namespace, { other: 'theirs' }));
    await client.apply(CONFIG_MAPS, configMap(namespace, { own: '1', extra: '1' }));
    const applied = await client.apply(CONFIG_MAPS, configMap(namespace, { own: '2' }));
    assert.deepEqual(applied['data'], { other: 'theirs', own: '2' });
    const managers = (
      applied.metadata as { managedFields?: { manager: string; operation: string }[] }
    ).managedFields;
    assert.ok(managers?.some((m) => m.manager === 'ambit-controller' && m.operation === 'Apply'));
  });

  it('refuses to take a field of another manager unless forced', async () => {
    const namespace = await cluster.namespace();
    await client.apply(CONFIG_MAPS, configMap(namespace, { a: '1' }), { fieldManager: 'other' });
    const error = await refusal(client.apply(CONFIG_MAPS, configMap(namespace, { a: '2' })));
    assert.equal(error.code, 'KUBE_CONFLICT');
    assert.equal(error.causes[0]?.field, '.data.a');
    const forced = await client.apply(CONFIG_MAPS, configMap(namespace, { a: '2' }), {
      force: true,
    });
    assert.deepEqual(forced['data'], { a: '2' });
  });

  it('writes a status alone, and nothing in a dry run', async () => {
    const namespace = await cluster.namespace();
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name: 's' },
      spec: { type: 'LoadBalancer', ports: [{ port: 80, protocol: 'TCP' }] },
    };
    await client.apply(SERVICES, service, { isDryRun: true });
    assert.equal(await client.find(SERVICES, { namespace, name: 's' }), undefined);
    await client.apply(SERVICES, service);
    const status = { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } };
    const written = await client.apply(
      SERVICES,
      { apiVersion: 'v1', kind: 'Service', metadata: service.metadata, status },
      { subresource: 'status', force: true },
    );
    assert.equal(JSON.stringify(written['status']).includes('192.0.2.1'), true);
  });

  it('says what is wrong: absent, there already, changed meanwhile, invalid by field', async () => {
    const namespace = await cluster.namespace();
    const ref = { namespace, name: 'm' };
    const made = await client.create(CONFIG_MAPS, configMap(namespace, { a: '1' }));
    await client.update(CONFIG_MAPS, { ...made, data: { a: '2' } });
    const service = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace, name: 's' },
      spec: { ports: [{ port: 99_999 }] },
    };
    const cases = [
      [() => client.get(CONFIG_MAPS, { namespace, name: 'none' }), 'KUBE_NOT_FOUND', 404],
      [() => client.create(CONFIG_MAPS, configMap(namespace, {})), 'KUBE_ALREADY_EXISTS', 409],
      [() => client.update(CONFIG_MAPS, { ...made, data: { a: '3' } }), 'KUBE_CONFLICT', 409],
      [() => client.delete(CONFIG_MAPS, ref, { uid: 'other' }), 'KUBE_CONFLICT', 409],
      [() => client.create(SERVICES, service), 'KUBE_INVALID', 422],
      [() => client.get(core('nothings'), ref), 'KUBE_NOT_FOUND', 404],
      [() => client.raw('/openapi/v9'), 'KUBE_NOT_FOUND', 404],
    ] as const;
    for (const [work, code, status] of cases) {
      const error = await refusal(work());
      assert.equal(error.code, code);
      assert.equal(error.status, status);
      assert.equal(error.retryable, false);
      if (code === 'KUBE_INVALID') {
        assert.equal(error.causes[0]?.field, 'spec.ports[0].port');
      }
    }
  });

  it('writes conditions through the writer, once', async () => {
    const namespace = await cluster.namespace();
    const ref = { namespace, name: 's' };
    await client.create(SERVICES, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: ref,
      spec: { ports: [{ port: 80 }] },
    });
    const writer = new StatusWriter({ client, clock: systemClock });
    writer.start();
    const write = async (): Promise<string | undefined> => {
      writer.write({
        gvr: SERVICES,
        ref,
        compute: (status) => ({
          ...status,
          conditions: mergeConditions(
            status['conditions'] as Condition[] | undefined,
            [{ type: 'istio.io/WaypointBound', status: 'True', reason: 'Bound', message: '' }],
            { wallNowMs: Date.now() },
          ),
        }),
      });
      await until(() => writer.depth === 0);
      return (await client.get(SERVICES, ref)).metadata.resourceVersion;
    };
    const first = await write();
    await systemClock.sleep(1_100);
    assert.equal(await write(), first);
    await writer.stop();
  });

  it('asks for tokens and checks them, and for permissions', async () => {
    const namespace = await cluster.namespace();
    const accounts = core('serviceaccounts');
    const metadata = { namespace, name: 'app' };
    await client.create(accounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    const answer = (await client.createSubresource(
      accounts,
      { ...metadata, subresource: 'token' },
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { audiences: ['istio-ca'], expirationSeconds: 600 },
      },
    )) as { status: { token: string } };
    const review = (await client.review(
      { group: 'authentication.k8s.io', version: 'v1', resource: 'tokenreviews' },
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token: answer.status.token, audiences: ['istio-ca'] },
      },
    )) as { status: { authenticated: boolean; user: { username: string } } };
    assert.equal(review.status.authenticated, true);
    assert.equal(review.status.user.username, `system:serviceaccount:${namespace}:app`);
    const access = (await client.review(
      { group: 'authorization.k8s.io', version: 'v1', resource: 'subjectaccessreviews' },
      {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: {
          user: review.status.user.username,
          resourceAttributes: { namespace, verb: 'get', resource: 'secrets' },
        },
      },
    )) as { status: { allowed: boolean } };
    assert.equal(access.status.allowed, false);
  });
});

describe('loadKubeconfig in a pod', () => {
  it('is the service account, and a renewed token is used when the old one is refused', async () => {
    const namespace = await cluster.namespace();
    const accounts = core('serviceaccounts');
    const metadata = { namespace, name: 'app' };
    await client.create(accounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    const answer = (await client.createSubresource(
      accounts,
      { ...metadata, subresource: 'token' },
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
    )) as { status: { token: string } };
    const dir = mkdtempSync(join(tmpdir(), 'ambit-account-'));
    const { tls } = await cluster.http.credentials.apply();
    writeFileSync(join(dir, 'ca.crt'), String(tls.ca));
    writeFileSync(join(dir, 'namespace'), namespace);
    writeFileSync(join(dir, 'token'), 'expired\n');
    const { hostname, port } = new URL(cluster.http.credentials.server);
    const environment = {
      KUBERNETES_SERVICE_HOST: hostname,
      KUBERNETES_SERVICE_PORT: port || '443',
    };
    const config = loadKubeconfig({ environment, clock: systemClock, serviceAccountDir: dir });
    const http = new KubeHttp({ credentials: config.credentials(), clock: systemClock });
    const own = new KubeClient({ http });
    assert.equal((await refusal(own.list(CONFIG_MAPS, { namespace }))).code, 'KUBE_UNAUTHORIZED');
    writeFileSync(join(dir, 'token'), answer.status.token);
    const error = await refusal(own.list(CONFIG_MAPS, { namespace }));
    assert.equal(error.code, 'KUBE_FORBIDDEN');
    assert.match(error.message, new RegExp(`system:serviceaccount:${namespace}:app`));
    http.close();
    rmSync(dir, { recursive: true });
  });
});

describe('LeaderElection on a real API server', () => {
  it('moves from one to the other on stop, and never has two leaders', async () => {
    const namespace = await cluster.namespace();
    const told: string[] = [];
    let leaders = 0;
    const candidate = (identity: string): LeaderElection =>
      new LeaderElection({
        client,
        clock: systemClock,
        namespace,
        name: 'leader',
        identity,
        durationMs: 3_000,
        renewDeadlineMs: 2_000,
        retryMs: 200,
        onAcquired: () => {
          leaders += 1;
          told.push(`${identity}: ${leaders}`);
        },
        onLost: () => {
          leaders -= 1;
        },
      });
    const [one, two] = [candidate('one'), candidate('two')];
    one.start();
    await until(() => one.isLeader);
    two.start();
    await until(() => two.holder === 'one');
    await one.stop();
    await until(() => two.isLeader);
    assert.deepEqual(told, ['one: 1', 'two: 1']);
    await two.stop();
    const leases = { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' };
    const lease = await client.get(leases, { namespace, name: 'leader' });
    assert.equal((lease['spec'] as { holderIdentity?: string }).holderIdentity ?? '', '');
  });

  it('is lost by a holder that cannot write, and found by the other', async () => {
    const namespace = await cluster.namespace();
    const cut = new CutClient({ http: cluster.http });
    const options = {
      clock: systemClock,
      namespace,
      name: 'leader',
      durationMs: 3_000,
      renewDeadlineMs: 1_000,
      retryMs: 200,
    };
    const told: string[] = [];
    const one = new LeaderElection({
      ...options,
      client: cut,
      identity: 'one',
      onAcquired: () => told.push('one'),
      onLost: () => void told.push('one lost'),
    });
    const two = new LeaderElection({
      ...options,
      client,
      identity: 'two',
      onAcquired: () => told.push('two'),
    });
    one.start();
    await until(() => one.isLeader);
    two.start();
    cut.isCut = true;
    await until(() => two.isLeader);
    assert.deepEqual(told, ['one', 'one lost', 'two']);
    await Promise.all([one.stop(), two.stop()]);
  });
});

/** A client whose writes can be made to fail. */
class CutClient extends KubeClient {
  isCut = false;

  override async update(...parameters: Parameters<KubeClient['update']>) {
    if (this.isCut) {
      throw new Error('cut');
    }
    return await super.update(...parameters);
  }
}
