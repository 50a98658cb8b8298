import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { CertificateAuthority, createOwnRoot } from '@ambit/identity';
import { until } from '../../until.testing.ts';
import type { ValidatingWebhookConfiguration } from '../../webhook/webhook-configuration.ts';
import { bedOfEachTest } from './trust.testing.ts';
import { WebhookDuty } from './webhook-duty.ts';

const RESOURCE = 'validatingwebhookconfigurations';
const OURS = 'ambit-validator-default-istio-system';

const bed = bedOfEachTest();

const newRoot = (commonName: string) =>
  createOwnRoot({ trustDomain: 'cluster.local', nowMs: Date.now(), commonName });

function setUp(revision = 'default') {
  const authority = CertificateAuthority.fromTexts({
    trustDomain: 'cluster.local',
    clock: systemClock,
    defaultTtlSeconds: 60,
    texts: newRoot('one'),
  });
  const duty = new WebhookDuty({
    context: bed.context(),
    root: authority,
    rootNamespace: 'istio-system',
    revision,
    target: { kind: 'service', name: 'ambit-controller', port: 443 },
  });
  const end = bed.term();
  duty.lead(end.signal);
  return { authority, duty, end };
}

const stored = (name = OURS): ValidatingWebhookConfiguration | undefined =>
  bed.server.get(RESOURCE, name) as unknown as ValidatingWebhookConfiguration | undefined;
const webhookNames = (name = OURS): readonly string[] =>
  (stored(name)?.webhooks ?? []).map((one) => one.name);
const caOf = (name = OURS): string =>
  Buffer.from(stored(name)?.webhooks[0]?.clientConfig.caBundle ?? '', 'base64').toString();
const writes = (): number => bed.server.requests.filter(({ method }) => method === 'PATCH').length;

function putForeign(
  name: string,
  objectSelector: object | undefined,
  apiGroups: string[],
  webhook = 'x.example.com',
) {
  bed.server.put(RESOURCE, {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name },
    webhooks: [{ name: webhook, objectSelector, rules: [{ apiGroups }] }],
  });
}

const UNLABELLED = { matchExpressions: [{ key: 'istio.io/rev', operator: 'DoesNotExist' }] };

describe('WebhookDuty', () => {
  it('makes the configuration, with the roots and where the webhook is', async () => {
    const { authority } = setUp();
    await until(() => stored() !== undefined, 'made');
    assert.equal(caOf(), authority.rootBundlePem);
    assert.deepEqual(webhookNames(), ['rev.validation.ambit.io', 'validation.ambit.io']);
    const service = stored()?.webhooks[0]?.clientConfig.service;
    assert.equal(service?.namespace, 'mesh');
    assert.deepEqual(stored()?.metadata.labels, {
      'app.kubernetes.io/part-of': 'ambit',
      'app.kubernetes.io/managed-by': 'ambit-controller',
      'istio.io/rev': 'default',
    });
  });

  it('follows the roots', async () => {
    const { authority } = setUp();
    await until(() => stored() !== undefined, 'made');
    const [one, two] = [authority.rootBundlePem, newRoot('two')];
    authority.use({ ...two, roots: two.roots + one });
    await until(() => caOf() === two.roots + one, 'both roots');
  });

  it('puts back what others change or delete, and is quiet otherwise', async () => {
    setUp();
    await until(() => stored() !== undefined, 'made');
    const good = bed.server.get(RESOURCE, OURS);
    assert.ok(good !== undefined);
    bed.server.put(RESOURCE, { ...good, webhooks: [] });
    await until(() => webhookNames().length === 2, 'put back');
    bed.server.delete(RESOURCE, OURS);
    await until(() => stored() !== undefined, 'made again');
    await systemClock.sleep(1_200);
    const before = writes();
    await systemClock.sleep(1_200);
    assert.equal(writes(), before);
  });

  for (const [what, isOther, put] of [
    [
      'the default revision of the reference',
      true,
      () => putForeign('istiod-default-validator', UNLABELLED, ['networking.istio.io']),
    ],
    [
      'an old one of the reference',
      true,
      () => putForeign('istio-validator', undefined, ['security.istio.io'], 'validation.istio.io'),
    ],
    [
      'a revision of the reference',
      false,
      () =>
        putForeign(
          'istio-validator-x',
          { matchExpressions: [{ key: 'istio.io/rev', operator: 'In', values: ['x'] }] },
          ['networking.istio.io'],
        ),
    ],
    ['a webhook of no mesh', false, () => putForeign('other', UNLABELLED, ['apps'])],
    ['a policy engine', false, () => putForeign('kyverno', undefined, ['networking.istio.io'])],
  ] as const) {
    it(`${isOther ? 'leaves' : 'does not leave'} objects without a revision to ${what}`, async () => {
      put();
      setUp();
      await until(() => stored() !== undefined, 'made');
      assert.equal(webhookNames().includes('validation.ambit.io'), !isOther);
    });
  }

  it('gives objects without a revision away and takes them back', async () => {
    setUp();
    await until(() => webhookNames().length === 2, 'made');
    putForeign('istiod-default-validator', UNLABELLED, ['networking.istio.io']);
    await until(() => webhookNames().length === 1, 'given away');
    bed.server.delete(RESOURCE, 'istiod-default-validator');
    await until(() => webhookNames().length === 2, 'taken back');
  });

  it('asks about labelled objects only, if it is not the default revision', async () => {
    setUp('canary');
    const name = 'ambit-validator-canary-istio-system';
    await until(() => stored(name) !== undefined, 'made');
    assert.deepEqual(webhookNames(name), ['rev.validation.ambit.io']);
  });

  it('writes nothing once it does not lead', async () => {
    const { authority, duty, end } = setUp();
    await until(() => stored() !== undefined, 'made');
    end.abort();
    await duty.idle();
    const before = writes();
    authority.use(newRoot('two'));
    bed.server.delete(RESOURCE, OURS);
    await systemClock.sleep(100);
    assert.equal(writes(), before);
  });
});
