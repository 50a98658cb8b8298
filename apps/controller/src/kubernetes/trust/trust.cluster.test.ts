/**
 * Tokens, the CA's Secret, roots and the webhook with a real API server. The server has to reach a port of this
 * machine, so the test brings one up for itself, whatever $KUBECONFIG says.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';

import { customResourceDefinitions } from '@ambit/api';
import { systemClock } from '@ambit/core';
import { createCertificateRequest, createOwnRoot } from '@ambit/identity';
import { isKubeError, type KubeObject } from '@ambit/kube';
import { openTestCluster, type TestCluster } from '@ambit/kube/testing';
import { createRegistry, silentLogger } from '@ambit/telemetry';

import { applyCrds, type JsonObject, store } from '../../crd/crds.testing.ts';
import { until } from '../../until.testing.ts';
import type { LeaderDuty } from '../leader-duty.ts';
import { caSecretOf, dataOf, SECRETS } from './ca-secret.ts';
import { KubernetesWebhook } from './kubernetes-webhook.ts';
import { RootDistribution } from './root-distribution.ts';
import { RootRotation } from './root-rotation.ts';
import { SecretAuthority } from './secret-authority.ts';
import { TokenReviewVerifier } from './token-review.ts';
import { contextOn, type TestContext } from './trust.testing.ts';
import { WebhookDuty } from './webhook-duty.ts';

const core = (resource: string) => ({ group: '', version: 'v1', resource });
const PODS = core('pods');
const ACCOUNTS = core('serviceaccounts');
const CONFIG_MAPS = core('configmaps');
const NAMESPACES = core('namespaces');
const CONFIGURATIONS = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  resource: 'validatingwebhookconfigurations',
};
const BAD: JsonObject = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: {},
  spec: { hosts: ['a'], http: [{ route: [{ destination: { host: 'a' } }], tmeout: '5s' }] },
};

let cluster: TestCluster;
let namespace: string;
let stops: (() => Promise<void>)[] = [];

before(async () => {
  delete process.env['KUBECONFIG'];
  cluster = await openTestCluster('trust');
  await applyCrds(cluster, customResourceDefinitions());
  namespace = await cluster.namespace();
});
afterEach(async () => {
  for (const stop of stops.reverse()) await stop();
  stops = [];
});
after(async () => {
  await cluster[Symbol.asyncDispose]();
});

function context(where = namespace): TestContext {
  const made = contextOn(cluster.http.credentials, where);
  stops.push(async () => {
    await made.discovery.stop();
    made.http.close();
  });
  return made;
}

function lead(duty: LeaderDuty): void {
  const end = new AbortController();
  duty.lead(end.signal);
  stops.push(async () => {
    end.abort();
    await duty.idle();
  });
}

function replica(where: string): { readonly ca: SecretAuthority; readonly problems: unknown[] } {
  const problems: unknown[] = [];
  const ca = new SecretAuthority({
    context: context(where),
    secretName: 'ambit-ca-secret',
    trustDomain: 'cluster.local',
    defaultTtlSeconds: 3_600,
    onProblem: (problem) => void problems.push(problem),
  });
  stops.push(() => ca.stop());
  ca.start();
  return { ca, problems };
}

describe('tokens', () => {
  const POD = 'agent-1';
  let pod: KubeObject;

  before(async () => {
    await until(
      async () =>
        (await cluster.client.find(ACCOUNTS, { namespace, name: 'default' })) !== undefined,
      'the account',
    );
    pod = await cluster.client.create(PODS, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name: POD },
      spec: { nodeName: 'node1', containers: [{ name: 'c', image: 'none' }] },
    });
  });

  async function token(audience: string, isBound = true): Promise<string> {
    const ref = { namespace, name: 'default', subresource: 'token' };
    const answer = (await cluster.client.createSubresource(ACCOUNTS, ref, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        audiences: [audience],
        expirationSeconds: 600,
        ...(isBound
          ? { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: POD, uid: pod.metadata.uid } }
          : {}),
      },
    })) as { readonly status: { readonly token: string } };
    return answer.status.token;
  }

  it('are believed when they are for us and bound to a pod that is there', async () => {
    const { client } = context();
    const good = await token('istio-ca');
    const verifier = new TokenReviewVerifier({ client, clock: systemClock, cacheMs: 0 });
    const { expiresAtMs, ...caller } = await verifier.verify(good);
    assert.deepEqual(caller, {
      namespace,
      serviceAccount: 'default',
      pod: { name: POD, uid: pod.metadata.uid },
      node: 'node1',
    });
    assert.ok(expiresAtMs > Date.now());
    for (const [bad, message] of [
      [await token('other'), /not for istio-ca/],
      [await token('istio-ca', false), /not bound to a pod/],
      [`${good.slice(0, good.lastIndexOf('.'))}.AAAA`, /does not authenticate/],
    ] as const) {
      await assert.rejects(verifier.verify(bad), { code: 'IDENTITY_TOKEN_INVALID', message });
    }
    const { http } = context();
    await http.json({
      method: 'DELETE',
      path: `/api/v1/namespaces/${namespace}/pods/${POD}`,
      body: { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0 },
    });
    await until(
      async () => (await cluster.client.find(PODS, { namespace, name: POD })) === undefined,
      'the end of the pod',
    );
    await until(
      () =>
        verifier.verify(good).then(
          () => false,
          () => true,
        ),
      'the end of the token',
    );
    await assert.rejects(verifier.verify(good), { code: 'IDENTITY_TOKEN_INVALID' });
  });
});

describe('the CA', () => {
  it('is made once, whichever of several replicas comes first, and followed', async () => {
    const where = await cluster.namespace();
    const replicas = Array.from({ length: 4 }, () => replica(where));
    await Promise.all(replicas.map(({ ca }) => ca.whenOpen()));
    const bundles = new Set(replicas.map(({ ca }) => ca.authority.rootBundlePem));
    assert.equal(bundles.size, 1);
    const [before = ''] = bundles;
    const next = createOwnRoot({
      trustDomain: 'cluster.local',
      nowMs: Date.now(),
      commonName: 'next',
    });
    const ref = { namespace: where, name: 'ambit-ca-secret' };
    const patch = { data: dataOf({ ...next, roots: next.roots + before }) };
    await cluster.client.patch(SECRETS, ref, { type: 'merge', patch });
    await until(
      () => replicas.every(({ ca }) => ca.authority.rootBundlePem === next.roots + before),
      'the change in every replica',
    );
    const { csrPem } = await createCertificateRequest('spiffe://cluster.local/ns/a/sa/b');
    const identity = { trustDomain: 'cluster.local', namespace: 'a', serviceAccount: 'b' };
    replicas[0]?.ca.authority.sign({ csrPem, identity });
  });

  it('goes through a rotation, followed by every replica', async () => {
    const where = await cluster.namespace();
    const replicas = [replica(where), replica(where)];
    await Promise.all(replicas.map(({ ca }) => ca.whenOpen()));
    const rotation = new RootRotation({
      context: context(where),
      secretName: 'ambit-ca-secret',
      trustDomain: 'cluster.local',
      proxies: () => [],
    });
    const bundles = new Set(replicas.map(({ ca }) => ca.authority.rootBundlePem));
    for (const [step, roots] of [
      ['distribute', 2],
      ['sign', 2],
      ['none', 1],
    ] as const) {
      const after = await rotation.next();
      assert.equal(after.step, step);
      assert.equal(after.roots.length, roots);
      const { values } = caSecretOf(
        await cluster.client.get(SECRETS, { namespace: where, name: 'ambit-ca-secret' }),
      );
      const bundle = values['root-cert.pem'] ?? '';
      await until(
        () => replicas.every(({ ca }) => ca.authority.rootBundlePem === bundle),
        `every replica at ${step}`,
      );
      bundles.add(bundle);
    }
    assert.equal(bundles.size, 4);
    await rotation.next();
    assert.equal((await rotation.abort()).step, 'none');
    const results = await Promise.allSettled([1, 2, 3].map(() => rotation.next({ from: 'none' })));
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  });

  it('of a corrupt Secret is not used, and the Secret stays as it is', async () => {
    const where = await cluster.namespace();
    const metadata = { namespace: where, name: 'ambit-ca-secret' };
    const data = { 'ca-cert.pem': 'eA==' };
    const made = await cluster.client.create(SECRETS, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata,
      data,
    });
    const { ca, problems } = replica(where);
    await until(() => problems.length > 0, 'a problem');
    assert.match(String(problems[0]), /ambit-ca-secret: ca-cert\.pem: PEM refused/);
    assert.equal(ca.authority.isOpen, false);
    const found = await cluster.client.get(SECRETS, metadata);
    assert.equal(found.metadata.resourceVersion, made.metadata.resourceVersion);
  });
});

describe('the roots', () => {
  it('are in every namespace that is not ending, whatever others do', async () => {
    const where = await cluster.namespace();
    const { ca } = replica(where);
    await ca.whenOpen();
    const [one, two] = [await cluster.namespace(), await cluster.namespace()];
    const names = new Set([one, two]);
    // It does not go while its finalizer is there.
    const ending = (
      await cluster.client.create(PODS, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { namespace: two, name: 'stays', finalizers: ['ambit.io/test'] },
        spec: { containers: [{ name: 'c', image: 'none' }] },
      })
    ).metadata;
    await cluster.client.delete(NAMESPACES, { name: two });
    const made = context(where);
    lead(
      new RootDistribution({
        context: made,
        configMapName: 'ambit-ca-root-cert',
        root: ca.authority,
        namespaces: { list: () => names, has: (name) => names.has(name) },
      }),
    );
    const ref = { namespace: one, name: 'ambit-ca-root-cert' };
    const bundle = async (): Promise<string | undefined> => {
      const found = await cluster.client.find(CONFIG_MAPS, ref);
      return (found?.['data'] as Record<string, string> | undefined)?.['root-cert.pem'];
    };
    const isThere = async () => (await bundle()) === ca.authority.rootBundlePem;
    await until(isThere, 'the roots');
    await cluster.client.delete(CONFIG_MAPS, ref);
    await until(isThere, 'the roots again');
    const patch = { data: { 'root-cert.pem': 'evil', other: 'stays' } };
    await cluster.client.patch(CONFIG_MAPS, ref, { type: 'merge', patch });
    await until(isThere, 'the roots put right');
    const kept = (await cluster.client.get(CONFIG_MAPS, ref))['data'] as Record<string, string>;
    assert.equal(kept['other'], 'stays');
    const isWarned = made.lines.some((line) => line.includes('the root cannot be written'));
    assert.equal(isWarned, false);
    await cluster.client.patch(PODS, ending, {
      type: 'merge',
      patch: { metadata: { finalizers: null } },
    });
  });
});

async function isRefused(): Promise<boolean> {
  try {
    await store(cluster, namespace, BAD);
    return false;
  } catch (error) {
    if (!isKubeError(error, 'KUBE_INVALID')) throw error;
    assert.match(error.message, /admission webhook/);
    return true;
  }
}

describe('the webhook', () => {
  it('is asked, and still is after new roots and after others changed its configuration', async () => {
    const where = await cluster.namespace();
    const { ca } = replica(where);
    await ca.whenOpen();
    const webhook = new KubernetesWebhook({
      authority: ca.authority,
      names: ['127.0.0.1'],
      clock: systemClock,
      log: silentLogger(),
      registry: createRegistry(),
      host: '127.0.0.1',
      port: 0,
    });
    const url = `https://127.0.0.1:${await webhook.start()}`;
    stops.push(() => webhook.stop());
    lead(
      new WebhookDuty({
        context: context(where),
        root: ca.authority,
        rootNamespace: where,
        revision: 'default',
        target: { kind: 'url', url },
      }),
    );
    const name = `ambit-validator-default-${where}`;
    stops.push(() => cluster.client.delete(CONFIGURATIONS, { name }));
    await until(isRefused, 'the webhook is asked');
    const next = createOwnRoot({
      trustDomain: 'cluster.local',
      nowMs: Date.now(),
      commonName: 'next',
    });
    const ref = { namespace: where, name: 'ambit-ca-secret' };
    const patch = { data: dataOf({ ...next, roots: next.roots }) };
    await cluster.client.patch(SECRETS, ref, { type: 'merge', patch });
    await until(() => ca.authority.rootBundlePem === next.roots, 'the new root');
    await until(isRefused, 'the webhook is asked under the new root');
    const caBundle = async (): Promise<string> => {
      const found = await cluster.client.find(CONFIGURATIONS, { name });
      const webhooks = found?.['webhooks'] as
        | readonly { readonly clientConfig: { readonly caBundle: string } }[]
        | undefined;
      return Buffer.from(webhooks?.[0]?.clientConfig.caBundle ?? '', 'base64').toString();
    };
    assert.equal(await caBundle(), next.roots);
    await cluster.client.delete(CONFIGURATIONS, { name });
    await until(async () => (await caBundle()) === next.roots, 'the configuration again');
    await until(isRefused, 'the webhook is asked again');
  });
});
