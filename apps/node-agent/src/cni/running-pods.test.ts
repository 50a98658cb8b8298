import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { readRunningPods } from './running-pods.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ambit-cache-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const RECORD = {
  kind: 'cniCacheV1',
  containerId: 'c1',
  config: 'e30=',
  ifName: 'eth0',
  networkName: 'pods',
  netns: '/var/run/netns/cni-1',
  cniArgs: [
    ['K8S_POD_UID', 'u-1'],
    ['IgnoreUnknown', '1'],
    ['K8S_POD_NAMESPACE', 'shop'],
    ['K8S_POD_NAME', 'cart-0'],
  ],
  result: {
    interfaces: [{ name: 'veth1' }, { name: 'eth0', sandbox: '/var/run/netns/cni-old' }],
    ips: [{ address: '10.244.1.2/24', interface: 1 }],
  },
};
const POD = {
  containerId: 'c1',
  ifname: 'eth0',
  network: 'pods',
  netns: '/var/run/netns/cni-1',
  namespace: 'shop',
  name: 'cart-0',
  uid: 'u-1',
  ips: ['10.244.1.2'],
};

const write = (name: string, value: unknown): void =>
  writeFileSync(join(folder, name), typeof value === 'string' ? value : JSON.stringify(value));

describe('readRunningPods', () => {
  it('reads what the runtime keeps, the pod’s own network before others', () => {
    write('a-net1', { ...RECORD, ifName: 'net1', networkName: 'a' });
    write('pods-c1-eth0', RECORD);
    write('z-net2', { ...RECORD, ifName: 'net2', networkName: 'z' });
    write('cni-loopback-c1-lo', { ...RECORD, ifName: 'lo', networkName: 'cni-loopback' });
    assert.deepEqual(readRunningPods(folder), [POD]);
  });

  it('finds the namespace of older records in their result', () => {
    write('a', { ...RECORD, netns: undefined });
    assert.deepEqual(readRunningPods(folder), [{ ...POD, netns: '/var/run/netns/cni-old' }]);
  });

  it('leaves out what is not whole, not of a pod, or nothing at all', () => {
    assert.deepEqual(readRunningPods(join(folder, 'none')), []);
    const bad: readonly unknown[] = [
      '',
      '{',
      '[]',
      { ...RECORD, kind: 'cniCacheV9' },
      { ...RECORD, cniArgs: [] },
      { ...RECORD, cniArgs: 'x' },
      { ...RECORD, containerId: '../c' },
      { ...RECORD, netns: 'relative' },
      { ...RECORD, netns: undefined, result: {} },
      'x'.repeat(5 * 1024 * 1024),
    ];
    for (const [index, value] of bad.entries()) {
      write(`${index}`, value);
    }
    assert.deepEqual(readRunningPods(folder), []);
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        write('x', text);
        readRunningPods(folder);
      }),
      { numRuns: 50 },
    );
  });
});
