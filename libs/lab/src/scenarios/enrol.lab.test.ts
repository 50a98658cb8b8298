/** Enrolment: labels decide, connections survive it, and a missing agent never means clear text. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Bed, clientYaml, echoYaml, makeBed, namespaceYaml, serviceYaml } from './bed.ts';
import type { Caller } from './caller.ts';

const AMBIENT = { 'istio.io/dataplane-mode': 'ambient' };
const WORLD = [
  namespaceYaml('late', {}),
  echoYaml({ name: 'web', namespace: 'late', node: 'node2' }),
  serviceYaml('web', 'late'),
  clientYaml({ name: 'client', namespace: 'late', node: 'node1' }),
  clientYaml({
    name: 'never',
    namespace: 'late',
    node: 'node1',
    labels: { 'istio.io/dataplane-mode': 'none' },
  }),
  namespaceYaml('other', {}),
  clientYaml({ name: 'always', namespace: 'other', node: 'node1', labels: AMBIENT }),
].join('');

let canaries = 0;

describe('enrolment', () => {
  let bed: Bed;
  const callers = new Map<string, Caller>();
  before(async () => {
    bed = await makeBed(WORLD);
    for (const pod of ['late/client', 'late/never', 'other/always']) {
      callers.set(pod, bed.caller(pod));
    }
  });
  after(async () => await bed[Symbol.asyncDispose]());

  const caller = (pod: string): Caller => {
    const found = callers.get(pod);
    assert.ok(found, pod);
    return found;
  };
  /** How a request of `pod` crosses between the nodes. */
  const crossing = async (pod: string): Promise<'clear' | 'hidden' | 'failed'> => {
    canaries += 1;
    const word = `canary-${process.pid}-${canaries}-end`;
    const capture = await bed.lab.capture();
    const answer = await caller(pod).http({ url: `http://web.late/${word}` });
    await capture.stop();
    if (capture.contains(word)) {
      return 'clear';
    }
    return answer.status === 200 ? 'hidden' : 'failed';
  };
  const becomes = async (pod: string, expected: 'clear' | 'hidden'): Promise<void> => {
    await bed.lab.waitFor(async () => (await crossing(pod)) === expected, {
      what: `${pod} to be ${expected}`,
      timeoutMs: 15_000,
    });
  };
  const hostOf = (name: string): string =>
    bed.lab.status().services.find((one) => one.name === name)?.addresses[0] ?? '';

  it('leaves alone what nobody labelled', async () => {
    assert.equal(await crossing('late/client'), 'clear');
  });

  it('enrols and releases running pods without losing their connections', async () => {
    const client = caller('late/client');
    const host = hostOf('web');
    assert.equal((await client.hold('before', host, 9000)).ok, true);
    bed.lab.apply(namespaceYaml('late', AMBIENT));
    await becomes('late/client', 'hidden');
    assert.deepEqual(await client.ping('before'), { ok: true }, 'opened before enrolment');
    assert.equal((await client.hold('meanwhile', host, 9000)).ok, true);
    assert.deepEqual(await client.ping('meanwhile'), { ok: true });

    bed.lab.apply(namespaceYaml('late', {}));
    await becomes('late/client', 'clear');
    assert.deepEqual(await client.ping('meanwhile'), { ok: true }, 'opened while enrolled');
    assert.deepEqual(await client.ping('before'), { ok: true }, 'opened before enrolment');
  });

  it('lets a pod label beat the namespace, both ways', async () => {
    bed.lab.apply(namespaceYaml('late', AMBIENT));
    await becomes('late/client', 'hidden');
    assert.equal(await crossing('late/never'), 'clear', 'none opts out');
    await becomes('other/always', 'hidden');
  });

  it('takes istio-injection=enabled as an alias', async () => {
    bed.lab.apply(namespaceYaml('late', {}));
    await becomes('late/client', 'clear');
    bed.lab.apply(namespaceYaml('late', { 'istio-injection': 'enabled' }));
    await becomes('late/client', 'hidden');
    bed.lab.apply(namespaceYaml('late', AMBIENT));
    await becomes('late/client', 'hidden');
  });

  it('lets nothing leave in clear while an agent is gone, and holds new pods of enrolled namespaces', async () => {
    await bed.lab.stopComponent('agent/node1');
    for (let i = 0; i < 5; i += 1) {
      assert.notEqual(await crossing('late/client'), 'clear', `attempt ${i}`);
    }
    bed.lab.apply(clientYaml({ name: 'held', namespace: 'late', node: 'node1' }));
    bed.lab.apply(clientYaml({ name: 'free', namespace: 'street', node: 'node1' }));
    await bed.lab.waitFor(() => bed.lab.pod('street/free').isReady, { what: 'the free pod' });
    assert.equal(bed.lab.pod('late/held').phase, 'Pending');
    assert.match(bed.lab.pod('late/held').reason, /agent of node1/);

    bed.lab.startComponent('agent/node1');
    await bed.lab.waitFor(() => bed.lab.pod('late/held').isReady, { what: 'the held pod' });
    await becomes('late/client', 'hidden');
    callers.set('late/held', bed.caller('late/held'));
    assert.equal(
      await crossing('late/held'),
      'hidden',
      'never in clear, from its first connection on',
    );
  });

  it('takes over after a crash of the agent', async () => {
    bed.lab.kill('agent/node1');
    for (let i = 0; i < 3; i += 1) {
      assert.notEqual(await crossing('late/client'), 'clear', `attempt ${i}`);
    }
    await becomes('late/client', 'hidden');
  });

  it('captures the pods that a rollout starts from their first connection on', async () => {
    const loop = `
      const http = require('node:http');
      const tick = () => {
        http.get('http://web.late/from-the-first-breath', (r) => r.resume()).on('error', () => undefined);
      };
      tick();
      setInterval(tick, 20);`;
    const capture = await bed.lab.capture();
    bed.lab.apply(
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'eager', namespace: 'late' },
        spec: {
          nodeName: 'node1',
          containers: [{ name: 'main', command: ['node', '-e', loop] }],
        },
      }),
    );
    await bed.lab.waitFor(() => bed.lab.pod('late/eager').isReady, { what: 'the eager pod' });
    await bed.lab.clock.sleep(500);
    await capture.stop();
    assert.equal(capture.contains('from-the-first-breath'), false);
  });
});
