import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeConfig, parseConfig } from './config.ts';

const MINIMAL = {
  NODE_NAME: 'node1',
  POD_NAME: 'agent-1',
  POD_NAMESPACE: 'istio-system',
  SERVICE_ACCOUNT: 'ztunnel',
};

describe('parseConfig', () => {
  it('has defaults for everything but who it is', () => {
    const config = parseConfig(MINIMAL);
    assert.equal(config.workers, 1);
    assert.equal(config.secretTtlSeconds, 86_400);
    assert.equal(config.caAddress, config.xdsAddress);
    assert.deepEqual(config.adminAddress, { host: '127.0.0.1', port: 15_000 });
    assert.equal(config.clusterId, 'Kubernetes');
    assert.equal(config.drainMs, 5_000);
  });

  const workers: readonly (readonly [string | undefined, { readonly cpus?: number }, number])[] = [
    ['0', {}, 1],
    [undefined, { cpus: 2.5 }, 3],
    ['0', { cpus: 2 }, 2],
    ['1', { cpus: 4 }, 1],
    ['6', { cpus: 2 }, 6],
    [undefined, { cpus: 0.2 }, 1],
  ];
  for (const [said, limits, expected] of workers) {
    it(`has ${expected} workers with ${said ?? 'nothing'} said and ${limits.cpus ?? 'no'} processors`, () => {
      const env = said === undefined ? MINIMAL : { ...MINIMAL, AMBIT_WORKERS: said };
      assert.equal(parseConfig(env, limits).workers, expected);
    });
  }

  it('gives the heaps of workers a part of the memory that it may use', () => {
    const memoryBytes = 1_000 * 2 ** 20;
    const heaps = (count: number) =>
      parseConfig({ ...MINIMAL, AMBIT_WORKERS: String(count) }, { memoryBytes }).workerHeapBytes;
    assert.equal(heaps(1), 400 * 2 ** 20);
    assert.equal(heaps(4), 100 * 2 ** 20);
    assert.equal(heaps(100), 64 * 2 ** 20);
    assert.equal(parseConfig(MINIMAL).workerHeapBytes, undefined);
  });

  const drains = [
    ['30', 25_000],
    ['10', 9_000],
    ['1', 1_000],
  ] as const;
  for (const [grace, expected] of drains) {
    it(`drains for ${expected} ms of a grace of ${grace} s`, () => {
      const config = parseConfig({ ...MINIMAL, TERMINATION_GRACE_PERIOD_SECONDS: grace });
      assert.equal(config.drainMs, expected);
    });
  }

  const accepted: readonly (readonly [
    string,
    string,
    (c: ReturnType<typeof parseConfig>) => unknown,
    unknown,
  ])[] = [
    ['SECRET_TTL', '20s', (c) => c.secretTtlSeconds, 20],
    ['SECRET_TTL', '90', (c) => c.secretTtlSeconds, 90],
    ['SECRET_TTL', '1.5m', (c) => c.secretTtlSeconds, 90],
    ['CONNECTION_TERMINATION_DEADLINE', '500ms', (c) => c.drainMs, 500],
    ['XDS_ADDRESS', '10.0.0.1:15012', (c) => c.xdsAddress, 'https://10.0.0.1:15012'],
    ['XDS_ADDRESS', '', (c) => c.xdsAddress, ''],
    ['AMBIT_ADMIN_ADDRESS', '[::1]:0', (c) => c.adminAddress, { host: '::1', port: 0 }],
    ['AMBIT_METRICS_ADDRESS', ':9000', (c) => c.metricsAddress, { host: '::', port: 9000 }],
    ['IPV6_ENABLED', 'FALSE', (c) => c.ipv6Enabled, false],
    [
      'ISTIO_META_CLUSTER_ID',
      'east',
      (c) => [c.clusterId, c.metadata['CLUSTER_ID']],
      ['east', 'east'],
    ],
  ];
  for (const [name, value, pick, expected] of accepted) {
    it(`takes ${name}=${value}`, () => {
      assert.deepEqual(pick(parseConfig({ ...MINIMAL, [name]: value })), expected);
    });
  }

  const refused = [
    ['NODE_NAME', ''],
    ['INSTANCE_IP', 'localhost'],
    ['XDS_ADDRESS', 'http://a:1'],
    ['XDS_ADDRESS', 'https://a'],
    ['CA_ADDRESS', 'not an address'],
    ['AMBIT_WORKERS', '-1'],
    ['AMBIT_WORKERS', '1.5'],
    ['AMBIT_WORKERS', ''],
    ['AMBIT_WORKERS', '1000'],
    ['SECRET_TTL', '0'],
    ['SECRET_TTL', '-5s'],
    ['SECRET_TTL', 'soon'],
    ['TERMINATION_GRACE_PERIOD_SECONDS', 'x'],
    ['AMBIT_ADMIN_ADDRESS', '15000'],
    ['AMBIT_ADMIN_ADDRESS', 'a:99999'],
    ['IPV6_ENABLED', 'yes'],
    ['HOST_PROBE_SNAT_IP', 'fd00::1'],
    ['HOST_PROBE_SNAT_IPV6', '10.0.0.1'],
    ['AMBIT_ADMIN_SOCKET', `/${'x'.repeat(108)}`],
  ] as const;
  for (const [name, value] of refused) {
    it(`refuses ${name}=${value.slice(0, 20)}`, () => {
      assert.throws(() => parseConfig({ ...MINIMAL, [name]: value }), {
        code: 'AGENT_CONFIG_INVALID',
        message: new RegExp(name),
      });
    });
  }

  it('names every problem at once', () => {
    assert.throws(() => parseConfig({ SECRET_TTL: 'x' }), /NODE_NAME.*POD_NAME.*SECRET_TTL/);
  });

  it('cannot be changed', () => {
    const config = parseConfig(MINIMAL);
    assert.ok(Object.isFrozen(config) && Object.isFrozen(config.adminAddress));
  });
});

describe('describeConfig', () => {
  it('cuts the values of headers', () => {
    const config = parseConfig({ ...MINIMAL, XDS_HEADER_authorization: 'Bearer s3cret' });
    assert.equal(config.xdsHeaders['authorization'], 'Bearer s3cret');
    assert.doesNotMatch(JSON.stringify(describeConfig(config)), /s3cret/);
  });
});
