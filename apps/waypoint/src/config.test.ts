import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { identityOf, parseConfig } from './config.ts';

const ENV = {
  GATEWAY: 'shop/waypoint',
  POD_NAME: 'waypoint-0',
  POD_NAMESPACE: 'shop',
  SERVICE_ACCOUNT: 'waypoint',
};

describe('parseConfig', () => {
  it('fills in what is not said, and freezes', () => {
    const config = parseConfig(ENV);
    assert.deepEqual(config.gateway, { namespace: 'shop', name: 'waypoint' });
    assert.deepEqual(config.hboneAddress, { host: '::', port: 15_008 });
    assert.equal(config.serviceName, 'waypoint');
    assert.equal(config.workers, 1);
    assert.equal(config.drainMs, 5_000);
    assert.equal(config.drainDelayMs, 0);
    assert.equal(config.caAddress, config.xdsAddress);
    assert.equal(identityOf(config), 'spiffe://cluster.local/ns/shop/sa/waypoint');
    assert.ok(Object.isFrozen(config.gateway));
  });

  it('reads durations, addresses and the drain of the grace period', () => {
    const config = parseConfig({
      ...ENV,
      XDS_ADDRESS: '10.0.0.1:15012',
      SECRET_TTL: '20s',
      TERMINATION_GRACE_PERIOD_SECONDS: '30',
      AMBIT_DRAIN_DELAY: '3s',
      AMBIT_HBONE_ADDRESS: '[::1]:0',
      AMBIT_METRICS_ADDRESS: ':9',
      AMBIT_WORKERS: '2',
      GATEWAY_SERVICE: 'front',
    });
    assert.equal(config.serviceName, 'front');
    assert.equal(config.xdsAddress, 'https://10.0.0.1:15012');
    assert.equal(config.secretTtlSeconds, 20);
    assert.equal(config.drainMs, 25_000);
    assert.equal(config.drainDelayMs, 3_000);
    assert.deepEqual(config.hboneAddress, { host: '::1', port: 0 });
    assert.deepEqual(config.metricsAddress, { host: '::', port: 9 });
    assert.equal(config.workers, 2);
  });

  const refused: readonly (readonly [string, string])[] = [
    ['GATEWAY', ''],
    ['GATEWAY', 'waypoint'],
    ['GATEWAY', 'a/b/c'],
    ['POD_NAME', ''],
    ['POD_NAMESPACE', ''],
    ['SERVICE_ACCOUNT', ''],
    ['XDS_ADDRESS', 'http://x:1'],
    ['XDS_ADDRESS', 'https://x'],
    ['XDS_ADDRESS', ''],
    ['CA_ADDRESS', ':::'],
    ['AMBIT_WORKERS', '-1'],
    ['AMBIT_WORKERS', '1.5'],
    ['AMBIT_WORKERS', ''],
    ['SECRET_TTL', '-1'],
    ['SECRET_TTL', 'soon'],
    ['AMBIT_DRAIN_DELAY', 'later'],
    ['AMBIT_DRAIN_DELAY', '5s'],
    ['AMBIT_HBONE_ADDRESS', '15008'],
    ['AMBIT_HBONE_ADDRESS', 'a:65536'],
    ['AMBIT_ADMIN_SOCKET', `/${'x'.repeat(120)}`],
  ];
  for (const [name, value] of refused) {
    it(`refuses ${name}=${value.slice(0, 20)}`, () => {
      assert.throws(() => parseConfig({ ...ENV, [name]: value }), new RegExp(name));
    });
  }

  it('names every problem at once', () => {
    assert.throws(() => parseConfig({}), /GATEWAY.*POD_NAME.*POD_NAMESPACE.*SERVICE_ACCOUNT/);
  });
});
