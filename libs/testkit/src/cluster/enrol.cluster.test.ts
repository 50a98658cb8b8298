/** A namespace comes into the mesh and leaves it again by its label, under load: no request fails, and the wire tells which is which. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import type { Caller } from '@ambit/lab/testing';
import { kubectl } from './kubectl.ts';
import { MeshCluster } from './mesh-cluster.ts';
import { deployment, pod, service } from './objects.ts';

const WORD = 'w0rd-in-a-path';
const LISTENED_MS = 1_500;

let mesh: MeshCluster;
let namespace: string;
let caller: Caller;

before(async () => {
  mesh = await MeshCluster.open();
  namespace = await mesh.namespace('enrol');
  const [first, second] = mesh.nodes;
  await mesh.apply(
    deployment(mesh.images, { name: 'web', namespace, program: 'go', node: second, replicas: 2 }),
    service({ name: 'web', namespace }),
    pod(mesh.images, { name: 'client', namespace, program: 'client', node: first }),
  );
  await mesh.ready(namespace);
  caller = mesh.caller(namespace, 'client');
  // The cluster knows of endpoints a moment after pods are ready, and refuses till then.
  const url = `http://web.${namespace}/`;
  await mesh.until(
    'the service is reached',
    async () => (await caller.http({ url })).status === 200,
  );
});
after(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

/** Whether the load is on the wire in clear. */
async function isHeard(): Promise<boolean> {
  const sniffer = await mesh.sniff(mesh.nodes[0], WORD);
  await systemClock.sleep(LISTENED_MS);
  const counts = await sniffer.stop();
  assert.ok((counts.get('packets') ?? 0) > 10, 'packets were seen');
  return (counts.get(WORD) ?? 0) > 0;
}

const label = async (value: string): Promise<void> =>
  void (await kubectl(['label', 'namespace', namespace, '--overwrite', value]));

describe('a namespace under load', { timeout: 120_000 }, () => {
  it('is enrolled and released, and no request fails', async () => {
    const url = `http://web.${namespace}/?${WORD}`;
    await caller.startLoad('new', { url });
    await caller.startLoad('kept', { url: `http://web.${namespace}/`, reuse: true });
    assert.equal(await isHeard(), true, 'before');
    for (let round = 0; round < 2; round += 1) {
      await label('istio.io/dataplane-mode=ambient');
      await mesh.until('it is enrolled', async () => !(await isHeard()));
      await label('istio.io/dataplane-mode-');
      await mesh.until('it is released', isHeard);
    }
    for (const name of ['new', 'kept']) {
      const { sent, ok, errors } = await caller.stopLoad(name);
      assert.deepEqual(errors, {}, `${name}: ${ok} of ${sent}`);
    }
  });

  it('takes the label of a pod over that of its namespace', async () => {
    await caller.startLoad('pod', { url: `http://web.${namespace}/?${WORD}` });
    try {
      const mode = 'istio.io/dataplane-mode=ambient';
      await kubectl(['-n', namespace, 'label', 'pod', '--all', '--overwrite', mode]);
      await mesh.until('the pods are in', async () => !(await isHeard()));
    } finally {
      const { errors } = await caller.stopLoad('pod');
      assert.deepEqual(errors, {});
    }
  });
});
