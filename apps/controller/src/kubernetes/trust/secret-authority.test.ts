import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import { buildCa, type CaTexts, createCertificateRequest, createOwnRoot } from '@ambit/identity';
import type { KubeObject } from '@ambit/kube';
import { fail } from '@ambit/kube/testing';
import { until } from '../../until.testing.ts';
import { caSecretOf, dataOf, encode, ownSecret } from './ca-secret.ts';
import { SecretAuthority } from './secret-authority.ts';
import { bedOfEachTest, type TestContext } from './trust.testing.ts';

const ID = { trustDomain: 'cluster.local', namespace: 'a', serviceAccount: 'b' };

const bed = bedOfEachTest();

function replica(options: { readonly secretName?: string; readonly context?: TestContext } = {}) {
  const problems: (string | undefined)[] = [];
  const context = options.context ?? bed.context();
  const ca = new SecretAuthority({
    context,
    secretName: options.secretName ?? 'ambit-ca-secret',
    rootConfigMap: 'ambit-ca-root-cert',
    trustDomain: 'cluster.local',
    defaultTtlSeconds: 3_600,
    onProblem: (problem) => void problems.push(problem),
  });
  bed.atEnd(() => ca.stop());
  ca.start();
  return { ca, problems, context };
}

function root(commonName = 'r'): CaTexts {
  return createOwnRoot({ trustDomain: 'cluster.local', nowMs: Date.now(), commonName });
}

function put(data: Readonly<Record<string, string>>, name = 'ambit-ca-secret'): void {
  bed.server.put('secrets', {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: 'mesh', name },
    data,
  });
}

const stored = (): KubeObject | undefined => bed.server.get('secrets', 'mesh/ambit-ca-secret');

describe('SecretAuthority', () => {
  it('makes a root once, whichever of several replicas comes first', async () => {
    const replicas = [replica(), replica(), replica()];
    await Promise.all(replicas.map(({ ca }) => ca.whenOpen()));
    const bundles = new Set(replicas.map(({ ca }) => ca.authority.rootBundlePem));
    assert.equal(bundles.size, 1);
    const secret = stored();
    assert.ok(secret !== undefined);
    assert.deepEqual(Object.keys(secret['data'] as object).sort(), [
      'ca-cert.pem',
      'ca-key.pem',
      'cert-chain.pem',
      'root-cert.pem',
    ]);
    assert.equal(caSecretOf(secret).isOurs, true);
    const posts = bed.server.requests.filter(({ method }) => method === 'POST');
    assert.ok(posts.length >= 1 && posts.length <= 3);
    for (const { problems } of replicas) assert.deepEqual(problems.filter(Boolean), []);
  });

  it('signs nothing before it has a key, and says why', async () => {
    bed.server.intercept = ({ url }, response) => {
      const isSecret = url.pathname.includes('/secrets');
      if (isSecret) fail(response, 403, 'Forbidden');
      return isSecret;
    };
    const { ca, problems } = replica();
    await until(() => problems.length > 0, 'a problem');
    assert.match(String(problems[0]), /cannot be read: .*403/);
    assert.equal(ca.authority.isOpen, false);
    const { csrPem } = await createCertificateRequest('spiffe://cluster.local/ns/a/sa/b');
    assert.throws(() => ca.authority.sign({ csrPem, identity: ID }), {
      code: 'IDENTITY_CA_UNAVAILABLE',
      retryable: true,
    });
    bed.server.intercept = () => false;
    await ca.whenOpen();
    assert.equal(problems.at(-1), undefined);
    ca.authority.sign({ csrPem, identity: ID });
  });

  it('follows a change of the Secret without a restart', async () => {
    const { ca } = replica();
    await ca.whenOpen();
    const before = ca.authority.rootBundlePem;
    let told = 0;
    ca.authority.onChange(() => {
      told += 1;
    });
    const next = root('next');
    put(dataOf({ ...next, roots: next.roots + before }));
    await until(() => told === 1, 'the new one');
    assert.equal(ca.authority.rootBundlePem, next.roots + before);
    // A change of something else is none of the CA.
    bed.server.put('secrets', {
      ...stored(),
      metadata: { ...stored()?.metadata, name: 'ambit-ca-secret', annotations: { a: 'b' } },
    } as KubeObject);
    await until(() => ca.source?.annotations['a'] === 'b', 'the annotation');
    assert.equal(told, 1);
  });

  const good = root();
  const other = root('other');
  const data = dataOf(good);
  const expired = createOwnRoot({ trustDomain: 'x', nowMs: Date.UTC(2010, 0, 1) });
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const intermediate = buildCa({
    issuer: { certificate: certificateOf(good), privateKey: createPrivateKey(good.key) },
    privateKey,
    organization: 'x',
    validity: { notBeforeMs: Date.now() - 1_000, notAfterMs: Date.now() + 86_400_000 },
  });
  const intermediateKey = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const without = (key: string) =>
    Object.fromEntries(Object.entries(data).filter(([name]) => name !== key));
  for (const [why, content, message] of [
    [
      'without ca-cert.pem',
      without('ca-cert.pem'),
      /ca-cert\.pem: it is missing.*has ca-key\.pem, cert-chain\.pem, root-cert\.pem/,
    ],
    ['without ca-key.pem', without('ca-key.pem'), /ca-key\.pem: it is missing/],
    ['that is empty', {}, /ca-cert\.pem: .*the Secret has nothing/],
    [
      'with a broken certificate',
      { ...data, 'ca-cert.pem': encode('x') },
      /ca-cert\.pem: PEM refused/,
    ],
    [
      'with a key of another',
      { ...data, 'ca-key.pem': encode(other.key) },
      /ca-key\.pem does not belong to ca-cert\.pem/,
    ],
    [
      'with a broken key',
      {
        ...data,
        'ca-key.pem': encode('-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n'),
      },
      /ca-key\.pem: it is no private key in PEM/,
    ],
    [
      'with a root of another',
      { ...data, 'root-cert.pem': encode(other.roots) },
      /does not lead to a trusted root/,
    ],
    [
      'with a broken root',
      { ...data, 'root-cert.pem': encode('junk') },
      /root-cert\.pem: PEM refused/,
    ],
    [
      'with a broken chain',
      { ...data, 'cert-chain.pem': encode('junk') },
      /cert-chain\.pem: PEM refused/,
    ],
    [
      'with two certificates',
      { ...data, 'ca-cert.pem': encode(good.certificate + other.certificate) },
      /ca-cert\.pem must hold one/,
    ],
    ['that has expired', dataOf(expired), /expired at 2019/],
    [
      'with an intermediate and no root',
      dataOf({ certificate: intermediate.pem, key: intermediateKey, chain: '', roots: '' }),
      /root-cert\.pem: it is missing, and ca-cert\.pem is no root/,
    ],
  ] as const) {
    it(`leaves a Secret ${why} as it is and says so`, async () => {
      put(content);
      const version = stored()?.metadata.resourceVersion;
      const { ca, problems, context } = replica();
      await until(() => problems.length > 0, 'a problem');
      assert.match(String(problems[0]), message);
      assert.match(String(problems[0]), /mesh\/ambit-ca-secret/);
      assert.equal(ca.authority.isOpen, false);
      assert.equal(stored()?.metadata.resourceVersion, version);
      const keyLine = good.key.split('\n')[1] ?? '';
      assert.ok(!context.lines.join('').includes(keyLine));
      // Put right, it is used.
      put(data);
      await ca.whenOpen();
      assert.equal(problems.at(-1), undefined);
    });
  }

  it('keeps what it has when the Secret becomes unusable or goes', async () => {
    put(data);
    const { ca, problems } = replica();
    await ca.whenOpen();
    put(without('ca-key.pem'));
    await until(() => problems.length > 0, 'a problem');
    assert.match(String(problems[0]), /ca-key\.pem/);
    assert.equal(ca.authority.rootBundlePem, good.roots);
    put(data);
    await until(() => problems.at(-1) === undefined, 'no problem');
    bed.server.delete('secrets', 'mesh/ambit-ca-secret');
    await until(() => problems.at(-1) !== undefined, 'a problem');
    assert.match(String(problems.at(-1)), /ambit-ca-secret is gone/);
    assert.equal(ca.authority.isOpen, true);
    assert.equal(stored(), undefined);
  });

  it('makes no other where the Secret of a mesh is gone, and goes on when it is back', async () => {
    const lost = root();
    trust(lost);
    const { ca, problems } = replica();
    await until(() => problems.length > 0, 'a problem');
    assert.match(
      String(problems[0]),
      /neither Secret mesh\/ambit-ca-secret nor mesh\/cacerts is there, and ConfigMap .*put that Secret back/,
    );
    assert.equal(stored(), undefined);
    put(dataOf(lost));
    await ca.whenOpen();
    assert.equal(ca.authority.rootBundlePem, lost.roots);
    assert.equal(problems.at(-1), undefined);
  });

  const trust = (texts: CaTexts): void => {
    const labels = { 'app.kubernetes.io/managed-by': 'ambit-controller' };
    bed.server.put('configmaps', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace: 'mesh', name: 'ambit-ca-root-cert', labels },
      data: { 'root-cert.pem': texts.roots },
    });
  };

  it('puts its own Secret back as it was, once, and goes on', async () => {
    const clock = new FakeClock();
    const replicas = [0, 1].map(() => replica({ context: { ...bed.context(), clock } }));
    await whileClockRuns(clock, Promise.all(replicas.map(({ ca }) => ca.whenOpen())));
    const before = stored();
    assert.ok(before !== undefined);
    const bundle = replicas[0]?.ca.authority.rootBundlePem ?? '';
    bed.server.delete('secrets', 'mesh/ambit-ca-secret');
    const isTold = (): boolean =>
      replicas.every(({ problems }) => /is gone.*it is put back/.test(String(problems.at(-1))));
    await until(isTold, 'the loss is said');
    // Not while the mesh is known to trust another root by now.
    trust(root('other'));
    const isRefused = (): boolean =>
      replicas.every(({ problems }) => /it is not put back/.test(String(problems.at(-1))));
    await whileClockRuns(clock, until(isRefused, 'that it is not put back is said'));
    const asked = bed.server.requests.length;
    const told = replicas.map(({ problems }) => problems.length);
    for (let second = 0; second < 60; second += 1) {
      clock.advance(1_000);
      await systemClock.sleep(2);
    }
    const asks = bed.server.requests
      .slice(asked)
      .filter(({ url }) => /configmaps/.test(url.pathname));
    assert.ok(asks.length <= 20, `${asks.length} times in a minute, by two`);
    assert.deepEqual(
      replicas.map(({ problems }) => problems.length),
      told,
      'and said once',
    );
    assert.equal(stored(), undefined);
    trust({ ...good, roots: bundle });
    await whileClockRuns(
      clock,
      until(() => stored() !== undefined, 'it is back'),
    );
    assert.deepEqual(stored()?.['data'], before['data']);
    assert.deepEqual(stored()?.metadata.labels, before.metadata.labels);
    await until(() => replicas.every(({ problems }) => problems.at(-1) === undefined), 'all well');
    assert.ok(replicas.every(({ ca }) => ca.authority.rootBundlePem === bundle));
  });

  it('takes no other root in place of a Secret that went, but one that goes on with it', async () => {
    put(data);
    const { ca, problems } = replica();
    await ca.whenOpen();
    put(dataOf(other), 'cacerts');
    bed.server.delete('secrets', 'mesh/ambit-ca-secret');
    await until(() => /ambit-ca-secret is gone/.test(String(problems.at(-1))), 'the loss is said');
    assert.equal(ca.authority.rootBundlePem, good.roots);
    put(dataOf({ ...other, roots: other.roots + good.roots }), 'cacerts');
    await until(() => ca.source?.name === 'mesh/cacerts', 'the other one');
    assert.equal(problems.at(-1), undefined);
  });

  it('starts with no root that the mesh does not trust', async () => {
    trust(good);
    put(dataOf(other), 'cacerts');
    const { ca, problems } = replica();
    await until(() => problems.length > 0, 'a problem');
    assert.match(String(problems[0]), /mesh\/cacerts has other roots than the mesh trusts/);
    assert.equal(ca.authority.isOpen, false);
    put(dataOf({ ...other, roots: other.roots + good.roots }), 'cacerts');
    await ca.whenOpen();
    assert.equal(problems.at(-1), undefined);
  });

  it('reads the shapes of the reference and of cert-manager', async () => {
    const istio = { ...data, 'root-cert.pem': '', 'cert-chain.pem': '', 'key.pem': '' };
    const certManager = {
      'tls.crt': encode(intermediate.pem + good.certificate),
      'tls.key': encode(intermediateKey),
      'ca.crt': encode(good.roots),
    };
    const plugged = dataOf({
      certificate: intermediate.pem,
      key: intermediateKey,
      chain: intermediate.pem + good.roots,
      roots: good.roots,
    });
    for (const content of [istio, certManager, plugged]) {
      put(content);
      const { ca } = replica();
      await ca.whenOpen();
      assert.equal(ca.authority.rootBundlePem, good.roots);
    }
  });

  it('uses a CA that somebody else brings, where there is none of its own', async () => {
    put(data, 'cacerts');
    const { ca } = replica();
    await ca.whenOpen();
    assert.equal(ca.authority.rootBundlePem, good.roots);
    assert.equal(ca.source?.name, 'mesh/cacerts');
    assert.equal(stored(), undefined);
  });

  it('prefers its own Secret to one that somebody else brings', async () => {
    put(dataOf(other), 'cacerts');
    put(data);
    const { ca } = replica();
    await ca.whenOpen();
    assert.equal(ca.authority.rootBundlePem, good.roots);
  });

  it('makes nothing where it is told of no Secret, and waits', async () => {
    const { ca, problems } = replica({ secretName: '' });
    await until(() => problems.length > 0, 'a problem');
    assert.match(String(problems[0]), /mesh\/cacerts is not there/);
    put(data, 'cacerts');
    await ca.whenOpen();
    assert.equal(stored(), undefined);
  });

  it('says why nothing could be made, and tries again', async () => {
    bed.server.intercept = ({ method }, response) => {
      if (method === 'POST') fail(response, 403, 'Forbidden');
      return method === 'POST';
    };
    const { ca, problems } = replica();
    await until(() => problems.length > 0, 'a problem');
    assert.match(String(problems[0]), /403/);
    bed.server.intercept = () => false;
    await ca.whenOpen();
  });

  it('ends while it waits', async () => {
    const { ca } = replica({ secretName: '' });
    const waiting = assert.rejects(ca.whenOpen(), /stopped/);
    await ca.stop();
    await waiting;
  });

  it('writes what it reads', () => {
    const secret = caSecretOf(ownSecret({ namespace: 'mesh', name: 'x' }, good));
    assert.deepEqual(secret.values['ca-key.pem'], good.key);
  });
});

function certificateOf(texts: CaTexts): X509Certificate {
  return new X509Certificate(texts.certificate);
}

/** A second of the replicas' time every few milliseconds. */
async function whileClockRuns(clock: FakeClock, work: Promise<unknown>): Promise<void> {
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    clock.advance(1_000);
    await Promise.race([done, systemClock.sleep(5)]);
  }
  await done;
}
