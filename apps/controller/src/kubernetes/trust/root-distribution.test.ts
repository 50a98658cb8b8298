import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { CertificateAuthority, createOwnRoot } from '@ambit/identity';
import { buildCrl } from '@ambit/identity/testing';
import { answer } from '@ambit/kube/testing';
import { until } from '../../until.testing.ts';
import { RootDistribution } from './root-distribution.ts';
import { bedOfEachTest } from './trust.testing.ts';

const NAME = 'ambit-ca-root-cert';

const bed = bedOfEachTest();

const newRoot = (commonName: string) =>
  createOwnRoot({ trustDomain: 'cluster.local', nowMs: Date.now(), commonName });

function setUp(names: readonly string[]) {
  const namespaces = new Set(names);
  const authority = CertificateAuthority.pending({
    trustDomain: 'cluster.local',
    clock: systemClock,
    defaultTtlSeconds: 60,
  });
  const duty = new RootDistribution({
    context: bed.context(),
    configMapName: NAME,
    root: authority,
    namespaces: { list: () => namespaces, has: (name) => namespaces.has(name) },
    perSecond: 1_000,
  });
  const lead = (): AbortController => {
    const end = bed.term();
    duty.lead(end.signal);
    return end;
  };
  return { namespaces, authority, duty, lead };
}

const valueIn = (namespace: string, key: string): string | undefined =>
  (
    bed.server.get('configmaps', `${namespace}/${NAME}`)?.['data'] as
      | Record<string, string>
      | undefined
  )?.[key];
const bundleIn = (namespace: string) => valueIn(namespace, 'root-cert.pem');
const listIn = (namespace: string) => valueIn(namespace, 'ca-crl.pem');
const writes = (): number => bed.server.requests.filter(({ method }) => method === 'PATCH').length;

describe('RootDistribution', () => {
  it('writes the roots to every namespace, and to those that come', async () => {
    const { authority, lead, duty, namespaces } = setUp(['a', 'b']);
    authority.use(newRoot('one'));
    duty.touch('a');
    lead();
    await until(() => bundleIn('a') !== undefined && bundleIn('b') !== undefined, 'both');
    assert.equal(bundleIn('a'), authority.rootBundlePem);
    const object = bed.server.get('configmaps', `a/${NAME}`);
    assert.deepEqual(object?.metadata.labels, {
      'app.kubernetes.io/managed-by': 'ambit-controller',
    });
    namespaces.add('c');
    duty.touch('c');
    await until(() => bundleIn('c') !== undefined, 'the third');
    duty.touch('gone');
    duty.touch('a');
    await systemClock.sleep(50);
    assert.equal(writes(), 3);
  });

  it('writes revocation lists beside the roots, follows them, and takes them away', async () => {
    const { authority, lead } = setUp(['a']);
    const root = newRoot('one');
    const issuer = {
      certificate: new X509Certificate(root.certificate),
      privateKey: createPrivateKey(root.key),
    };
    const list = (revoked: readonly string[]): string =>
      buildCrl({ issuer, thisUpdateMs: Date.now(), nextUpdateMs: undefined, revoked });
    const [one, two] = [list([]), list(['1f'])];
    authority.use({ ...root, crl: one });
    lead();
    await until(() => listIn('a') === one, 'the first');
    assert.equal(bundleIn('a'), authority.rootBundlePem);
    authority.use({ ...root, crl: two });
    await until(() => listIn('a') === two, 'the second');
    // Proxies have the second until somebody says otherwise: what cannot be read is not handed out.
    assert.throws(() => authority.use({ ...root, crl: 'garbage' }), /ca-crl\.pem/);
    assert.equal(authority.crlPem, two);
    authority.use({ ...root, crl: '' });
    await until(() => listIn('a') === '', 'none');
    authority.use(root);
    await until(() => listIn('a') === undefined, 'no word');
  });

  it('writes new roots everywhere', async () => {
    const { authority, lead } = setUp(['a', 'b']);
    authority.use(newRoot('one'));
    lead();
    await until(() => bundleIn('b') !== undefined, 'the first');
    const [one, two] = [authority.rootBundlePem, newRoot('two')];
    authority.use({ ...two, roots: one + two.roots });
    await until(
      () => bundleIn('a') === one + two.roots && bundleIn('b') === one + two.roots,
      'the second',
    );
  });

  it('puts back what others change or delete', async () => {
    const { authority, lead } = setUp(['a']);
    authority.use(newRoot('one'));
    lead();
    await until(() => bundleIn('a') !== undefined, 'the first');
    const good = bed.server.get('configmaps', `a/${NAME}`);
    assert.ok(good !== undefined);
    bed.server.put('configmaps', { ...good, data: { 'root-cert.pem': 'evil' } });
    await until(() => bundleIn('a') === authority.rootBundlePem, 'changed back');
    bed.server.put('configmaps', { ...good, metadata: { ...good.metadata, labels: {} } });
    const labels = () => bed.server.get('configmaps', `a/${NAME}`)?.metadata.labels ?? {};
    await until(() => Object.keys(labels()).length === 1, 'labelled again');
    bed.server.delete('configmaps', `a/${NAME}`);
    await until(() => bundleIn('a') === authority.rootBundlePem, 'made again');
  });

  it('writes nothing before there are roots, nor what is there already', async () => {
    const { authority, lead, duty } = setUp(['a']);
    const end = lead();
    await systemClock.sleep(100);
    assert.equal(writes(), 0);
    authority.use(newRoot('one'));
    await until(() => bundleIn('a') !== undefined, 'the first');
    end.abort();
    await duty.idle();
    const before = writes();
    lead();
    await systemClock.sleep(200);
    assert.equal(writes(), before);
  });

  it('writes nothing once it does not lead', async () => {
    const { authority, lead, duty } = setUp(['a']);
    authority.use(newRoot('one'));
    const end = lead();
    await until(() => bundleIn('a') !== undefined, 'the first');
    end.abort();
    await duty.idle();
    const before = writes();
    authority.use(newRoot('two'));
    duty.touch('a');
    await systemClock.sleep(100);
    assert.equal(writes(), before);
    lead();
    await until(() => bundleIn('a') === authority.rootBundlePem, 'the second');
  });

  it('gives up on a namespace that ends, and not on one that fails', async () => {
    const { authority, lead } = setUp(['ending', 'failing']);
    authority.use(newRoot('one'));
    const apply = bed.server.intercept;
    let failures = 0;
    bed.server.intercept = (request, response) => {
      if (request.url.pathname.includes('/ending/')) {
        const details = { causes: [{ reason: 'NamespaceTerminating', message: '', field: '' }] };
        answer(response, 403, { kind: 'Status', code: 403, reason: 'Forbidden', details });
        return true;
      }
      if (request.url.pathname.includes('/failing/') && failures < 2) {
        failures += 1;
        answer(response, 500, { kind: 'Status', code: 500, reason: 'InternalError' });
        return true;
      }
      return apply(request, response);
    };
    lead();
    await until(() => bundleIn('failing') !== undefined, 'the failing one');
    const paths = bed.server.requests.filter(({ method }) => method === 'PATCH');
    assert.equal(paths.filter(({ url }) => url.pathname.includes('/ending/')).length, 1);
  });

  it('never takes the name that is the reference’s', () => {
    assert.throws(
      () =>
        new RootDistribution({
          context: bed.context(),
          configMapName: 'istio-ca-root-cert',
          root: { isOpen: false, rootBundlePem: '', onChange: () => () => undefined },
          namespaces: { list: () => [], has: () => false },
        }),
      { code: 'CONTROLLER_CONFIG_INVALID', message: /istiod writes/ },
    );
  });
});
