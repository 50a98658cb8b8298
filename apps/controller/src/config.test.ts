import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseConfig } from './config.ts';

const BASE = { AMBIT_CONFIG_DIRS: '/etc/ambit' };

describe('parseConfig', () => {
  it('has the documented defaults', () => {
    const config = parseConfig(BASE);
    assert.equal(config.xdsAddress, '[::]:15012');
    assert.deepEqual(config.metricsAddress, { host: '::', port: 15014 });
    assert.equal(config.adminSocket, '/var/lib/ambit/admin.sock');
    assert.equal(config.rootNamespace, 'istio-system');
    assert.equal(config.certTtlSeconds, 86_400);
    assert.deepEqual(config.trustedNodeAccounts, [
      'istio-system/ztunnel',
      'istio-system/ambit-node-agent',
    ]);
    assert.equal(Object.isFrozen(config), true);
  });

  const accepted: readonly (readonly [Readonly<Record<string, string>>, string, unknown])[] = [
    [{ AMBIT_CONFIG_DIRS: '/a:/b::' }, 'configDirs', ['/a', '/b']],
    [{ AMBIT_XDS_ADDRESS: '127.0.0.1:0' }, 'xdsAddress', '127.0.0.1:0'],
    [{ AMBIT_XDS_ADDRESS: ':15012' }, 'xdsAddress', '[::]:15012'],
    [{ AMBIT_METRICS_ADDRESS: '[::1]:9' }, 'metricsAddress', { host: '::1', port: 9 }],
    [{ AMBIT_STATE_DIR: '/s' }, 'adminSocket', '/s/admin.sock'],
    [{ AMBIT_ADMIN_ADDRESS: 'off' }, 'adminAddress', undefined],
    [{ AMBIT_CERT_TTL_SECONDS: '20' }, 'certTtlSeconds', 20],
    [{}, 'streamAgeSeconds', 0],
    [{ AMBIT_XDS_STREAM_AGE_SECONDS: '600' }, 'streamAgeSeconds', 600],
    [{ AMBIT_SERVING_NAMES: 'a.b, 10.0.0.1' }, 'servingNames', ['a.b', '10.0.0.1']],
    [{ TRUST_DOMAIN: 'prod.example' }, 'trustDomain', 'prod.example'],
    [{ AMBIT_PODS_WAIT_FOR_AGENT: 'true' }, 'podsWaitForAgent', true],
    [{ AMBIT_PODS_WAIT_FOR_AGENT: '' }, 'podsWaitForAgent', false],
    [{ CA_TRUSTED_NODE_ACCOUNTS: 'a/b' }, 'trustedNodeAccounts', ['a/b']],
  ];
  for (const [env, name, expected] of accepted) {
    it(`takes ${JSON.stringify(env)}`, () => {
      const config = parseConfig({ ...BASE, ...env });
      assert.deepEqual(config[name as keyof typeof config], expected);
    });
  }

  const refused: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
    [{ AMBIT_CONFIG_DIRS: '' }, /AMBIT_CONFIG_DIRS is not set/],
    [{ AMBIT_XDS_ADDRESS: 'localhost' }, /AMBIT_XDS_ADDRESS is "localhost", wanted IP:PORT/],
    [{ AMBIT_METRICS_ADDRESS: '1.2.3.4:70000' }, /AMBIT_METRICS_ADDRESS/],
    [{ AMBIT_METRICS_ADDRESS: 'host.name:80' }, /AMBIT_METRICS_ADDRESS/],
    [{ AMBIT_CERT_TTL_SECONDS: '0' }, /a number from 1 to 7776000/],
    [{ AMBIT_CERT_TTL_SECONDS: '1d' }, /AMBIT_CERT_TTL_SECONDS is "1d"/],
    [{ TRUST_DOMAIN: 'Upper.Case' }, /TRUST_DOMAIN/],
    [{ AMBIT_LOG_LEVEL: 'loud' }, /AMBIT_LOG_LEVEL is "loud"/],
    [{ AMBIT_PODS_WAIT_FOR_AGENT: 'yes' }, /wanted true or false/],
    [{ TRUST_DOMAIN: 'a/b' }, /TRUST_DOMAIN/],
    [{ CA_TRUSTED_NODE_ACCOUNTS: 'ztunnel' }, /wanted namespace\/serviceaccount/],
    [{ AMBIT_ADMIN_SOCKET: `/${'x'.repeat(110)}` }, /at most 107 bytes/],
  ];
  for (const [env, text] of refused) {
    it(`refuses ${JSON.stringify(env).slice(0, 80)}`, () => {
      assert.throws(() => parseConfig({ ...BASE, ...env }), {
        code: 'CONTROLLER_CONFIG_INVALID',
        message: text,
      });
    });
  }

  it('names every problem at once', () => {
    assert.throws(
      () => parseConfig({ TRUST_DOMAIN: '-', AMBIT_XDS_ADDRESS: 'x' }),
      (error: Error) => {
        assert.match(error.message, /AMBIT_XDS_ADDRESS.*TRUST_DOMAIN.*AMBIT_CONFIG_DIRS/s);
        return true;
      },
    );
  });

  describe('in a cluster', () => {
    const POD = {
      AMBIT_CONFIG_SOURCE: 'kubernetes',
      POD_NAMESPACE: 'istio-system',
      POD_NAME: 'ambit-controller-1',
      AMBIT_WAYPOINT_IMAGE: 'ambit/waypoint:1',
    };

    it('needs no folders, and has the documented defaults', () => {
      const { kubernetes, configDirs, statusAddress, streamAgeSeconds } = parseConfig(POD);
      assert.deepEqual(configDirs, []);
      assert.deepEqual(statusAddress, { host: '::', port: 15021 });
      assert.deepEqual(kubernetes, {
        namespace: 'istio-system',
        podName: 'ambit-controller-1',
        serviceAccount: 'ambit-controller',
        kubeconfig: '',
        revision: 'default',
        caSecret: 'ambit-ca-secret',
        certManagerIssuer: undefined,
        rootConfigMap: 'ambit-ca-root-cert',
        service: 'ambit-controller',
        webhookAddress: { host: '::', port: 15017 },
        taintsNodes: true,
        tokenPath: '',
        waypoint: {
          image: 'ambit/waypoint:1',
          pullPolicy: 'IfNotPresent',
          resources: {},
          isScraped: true,
        },
      });
      assert.equal(streamAgeSeconds, 1_800);
    });

    const wrong: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
      [{ POD_NAME: '' }, /POD_NAME is not set: the name of this pod/],
      [{ POD_NAMESPACE: '' }, /POD_NAMESPACE is not set/],
      [{ AMBIT_WAYPOINT_IMAGE: '' }, /AMBIT_WAYPOINT_IMAGE is not set/],
      [{ AMBIT_WAYPOINT_RESOURCES: '[]' }, /is "\[\]", wanted a JSON object/],
      [{ AMBIT_WAYPOINT_RESOURCES: '{' }, /wanted a JSON object/],
      [{ AMBIT_WAYPOINT_IMAGE_PULL_POLICY: 'Sometimes' }, /wanted Always or IfNotPresent or Never/],
      [{ AMBIT_CA_SECRET: 'A_B' }, /AMBIT_CA_SECRET is "A_B"/],
      [{ AMBIT_CERT_MANAGER_ISSUER: 'mine' }, /wanted KIND\/NAME or KIND\/NAME\/GROUP/],
      [{ AMBIT_NODE_TAINT: '1' }, /AMBIT_NODE_TAINT is "1", wanted true or false/],
      [{ AMBIT_CONFIG_SOURCE: 'etcd' }, /wanted directory or kubernetes/],
    ];
    for (const [env, text] of wrong) {
      it(`refuses ${JSON.stringify(env)}`, () => {
        assert.throws(() => parseConfig({ ...POD, ...env }), { message: text });
      });
    }
  });
});
