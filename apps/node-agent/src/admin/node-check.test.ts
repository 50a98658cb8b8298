import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import type { Workload } from '@ambit/model';
import { parseConfig } from '../config.ts';
import { nodeCheck, type Reach } from './node-check.ts';

const folder = mkdtempSync(join(tmpdir(), 'node-check-'));
process.once('exit', () => rmSync(folder, { recursive: true }));

const WORKLOAD = {
  name: 'reviews',
  namespace: 'shop',
  node: 'n2',
  tunnelProtocol: 'HBONE',
  status: 'HEALTHY',
  networkMode: 'STANDARD',
  addresses: ['10.0.0.2'],
} as const;

async function check(
  workloads: readonly Partial<Workload>[],
  dial?: (address: string) => Promise<void>,
) {
  const config = parseConfig({
    NODE_NAME: 'n1',
    POD_NAME: 'agent',
    POD_NAMESPACE: 'istio-system',
    SERVICE_ACCOUNT: 'agent',
    XDS_ADDRESS: 'https://127.0.0.1:1',
    CA_ADDRESS: 'https://127.0.0.1:1',
    AMBIT_RUN_DIR: folder,
    AMBIT_CNI_CONF_DIR: folder,
    AMBIT_CNI_BIN_DIR: folder,
  });
  return (await nodeCheck({
    config,
    version: '0.1.0',
    clock: new FakeClock(),
    workloads: workloads.map((one) => ({ ...WORKLOAD, ...one }) as Workload),
    rows: [],
    connection: undefined,
    cniProblem: 'the folder is empty',
    ...(dial === undefined ? {} : { dial }),
  })) as {
    readonly kernel: string;
    readonly cni: { readonly problem: string; readonly files: readonly string[] };
    readonly reach: readonly Reach[];
  };
}

describe('nodeCheck', () => {
  it('dials one pod of each other node, and says why it was not reached', async () => {
    const dialled: string[] = [];
    const { reach } = await check(
      [{}, { addresses: ['10.0.0.3'] }, { node: 'n3', addresses: ['10.0.1.1'] }],
      async (address) => {
        dialled.push(address);
        if (address === '10.0.1.1') throw new Error('refused');
      },
    );
    assert.deepEqual(dialled, ['10.0.0.2', '10.0.1.1']);
    assert.deepEqual(reach, [
      { node: 'n2', address: '10.0.0.2', pod: 'shop/reviews' },
      { node: 'n3', address: '10.0.1.1', pod: 'shop/reviews', error: 'refused' },
    ]);
  });

  for (const [title, change] of [
    ['of this node', { node: 'n1' }],
    ['outside of the mesh', { tunnelProtocol: 'NONE' }],
    ['that is not ready', { status: 'UNHEALTHY' }],
    ['of the host network', { networkMode: 'HOST_NETWORK' }],
    ['without address', { addresses: [] }],
    ['without node', { node: '' }],
  ] as const) {
    it(`dials no pod ${title}`, async () => {
      assert.deepEqual((await check([change])).reach, []);
    });
  }

  it('bounds what it dials', async () => {
    const many = Array.from({ length: 200 }, (_, i) => ({ node: `m${i}` }));
    assert.equal((await check(many, () => Promise.resolve())).reach.length, 50);
  });

  it('says of a port that nobody listens on', async () => {
    const { reach } = await check([{ addresses: ['127.0.0.1'] }]);
    assert.match(reach[0]?.error ?? '', /ECONNREFUSED/);
  });

  it('reads the network configuration in the order of the runtime', async () => {
    writeFileSync(join(folder, '20-b.conf'), '{"type":"bridge"}');
    writeFileSync(
      join(folder, '10-a.conflist'),
      '{"plugins":[{"type":"ptp"},{"type":"ambit-cni"}]}',
    );
    writeFileSync(join(folder, '30-c.conf'), 'no json');
    writeFileSync(join(folder, 'other.txt'), '');
    const { cni } = await check([]);
    assert.deepEqual(cni.files, [
      '10-a.conflist: ptp, ambit-cni',
      '20-b.conf: bridge',
      '30-c.conf: not readable',
    ]);
    assert.equal(cni.problem, 'the folder is empty');
  });
});
