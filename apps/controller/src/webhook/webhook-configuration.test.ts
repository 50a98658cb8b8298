import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type WebhookConfigurationOptions, webhookConfiguration } from './webhook-configuration.ts';

const OPTIONS: WebhookConfigurationOptions = {
  rootNamespace: 'istio-system',
  revision: 'default',
  isDefaultRevision: true,
  rootBundlePem: 'PEM',
  target: { kind: 'service', name: 'ambit-controller', port: 443 },
};

describe('webhookConfiguration', () => {
  it('blocks nobody', () => {
    for (const webhook of webhookConfiguration(OPTIONS).webhooks) {
      assert.equal(webhook.failurePolicy, 'Ignore');
      assert.equal(webhook.sideEffects, 'None');
      assert.ok(webhook.timeoutSeconds <= 5);
      for (const rule of webhook.rules) {
        assert.ok(!rule.apiGroups.includes('*') && !rule.apiGroups.includes(''));
        assert.ok(!rule.operations.includes('DELETE'));
        assert.ok(rule.resources.every((resource) => !resource.includes('/')));
      }
      const [system] = webhook.namespaceSelector.matchExpressions;
      assert.equal(system?.operator, 'NotIn');
      assert.ok(system.values?.includes('kube-system'));
    }
  });

  it('asks about objects of its revision and, if it is the default, of none', () => {
    const selectors = (isDefaultRevision: boolean) =>
      webhookConfiguration({ ...OPTIONS, revision: 'r2', isDefaultRevision }).webhooks.map(
        ({ objectSelector }) => objectSelector.matchExpressions,
      );
    const own = [{ key: 'istio.io/rev', operator: 'In', values: ['r2'] }];
    const none = [{ key: 'istio.io/rev', operator: 'DoesNotExist' }];
    assert.deepEqual(selectors(true), [own, none]);
    assert.deepEqual(selectors(false), [own]);
  });

  it('carries the root bundle, and one name a revision', () => {
    const one = webhookConfiguration(OPTIONS);
    const other = webhookConfiguration({ ...OPTIONS, revision: 'r2' });
    assert.equal(one.webhooks[0]?.clientConfig.caBundle, Buffer.from('PEM').toString('base64'));
    assert.notEqual(one.metadata.name, other.metadata.name);
    const names = one.webhooks.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
  });

  it('leads to the service, or to an address', () => {
    const [service] = webhookConfiguration(OPTIONS).webhooks;
    assert.deepEqual(service?.clientConfig.service, {
      namespace: 'istio-system',
      name: 'ambit-controller',
      port: 443,
      path: '/validate',
    });
    const target = { kind: 'url', url: 'https://127.0.0.1:15017' } as const;
    const [url] = webhookConfiguration({ ...OPTIONS, target }).webhooks;
    assert.equal(url?.clientConfig.url, 'https://127.0.0.1:15017/validate');
    assert.equal(url.clientConfig.service, undefined);
  });
});
