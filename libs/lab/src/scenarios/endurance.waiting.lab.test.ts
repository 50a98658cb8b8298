/**
 * Endurance: load while things change and break around it, with certificates of 20 seconds. A short run in every
 * test; `npm run test:soak -- --minutes N` makes it N minutes and kills agents as well.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import {
  type Bed,
  certificatesOf,
  clientYaml,
  echoYaml,
  makeBed,
  namespaceYaml,
  serviceYaml,
  yaml,
} from './bed.ts';
import type { Caller } from './caller.ts';
import { startLoads } from './loads.ts';

const SOAK_MINUTES = Number(process.env['AMBIT_SOAK_MINUTES'] ?? 0);
const IS_SOAK = SOAK_MINUTES > 0;
const DURATION_MS = IS_SOAK ? SOAK_MINUTES * 60_000 : 15_000;
const TTL_SECONDS = 20;
/** After an agent is killed, until its pods are served again. */
const AGENT_GAP_MS_MAX = 10_000;
/** Of an agent's memory, between the first minute and the end of a soak. */
const GROWTH_MAX = 1.5;

const policy = (generation: number): string =>
  yaml({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'changing', namespace: 'shop' },
    spec: {
      selector: { matchLabels: { app: 'web' } },
      action: 'DENY',
      rules: [
        { from: [{ source: { principals: [`cluster.local/ns/shop/sa/nobody-${generation}`] } }] },
      ],
    },
  });

const peerAuthentication = (mode: string): string =>
  yaml({
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name: 'default', namespace: 'shop' },
    spec: { mtls: { mode } },
  });

describe('endurance', () => {
  let bed: Bed;
  let client: Caller;
  before(async () => {
    bed = await makeBed(
      [
        namespaceYaml('shop'),
        echoYaml({ name: 'web', replicas: 2 }),
        serviceYaml('web'),
        clientYaml({ name: 'client', node: 'node1' }),
        clientYaml({ name: 'passer-by', node: 'node2' }),
      ].join(''),
      { extraEnv: certificatesOf(TTL_SECONDS) },
    );
    client = bed.caller('shop/client');
  });
  after(async () => await bed[Symbol.asyncDispose]());

  const residentBytes = (component: string): number => {
    const pid = bed.lab.mesh?.components.get(component)?.pid;
    const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kilobytes) * 1_024;
  };

  /** What happens around the load, in turn. None may cost a request. */
  const disturbances: readonly ((round: number) => Promise<void>)[] = [
    (round) => {
      bed.lab.apply(policy(round));
      return Promise.resolve();
    },
    () => {
      bed.lab.kill('controller');
      return Promise.resolve();
    },
    (round) => {
      bed.lab.apply(peerAuthentication(round % 2 === 0 ? 'STRICT' : 'PERMISSIVE'));
      return Promise.resolve();
    },
    async (round) => {
      bed.lab.apply(
        clientYaml({ name: `guest-${round}`, node: round % 2 === 0 ? 'node1' : 'node2' }),
      );
      await bed.lab.ready();
      bed.lab.delete(`Pod/shop/guest-${round}`);
    },
  ];

  it(`${DURATION_MS / 1_000} s of change and breakage cost no request and show nothing`, async () => {
    const startedAt = performance.now();
    const stopLoads = await startLoads(client, 'http://web/canary-endurance', 25);
    for (let round = 0; performance.now() - startedAt < DURATION_MS; round += 1) {
      const capture = await bed.lab.capture();
      await disturbances[round % disturbances.length]?.(round);
      await bed.lab.clock.sleep(1_500);
      await capture.stop();
      assert.equal(capture.contains('canary-endurance'), false, `round ${round}`);
    }
    await stopLoads(100);
    for (const component of bed.lab
      .status()
      .components.filter(({ name }) => name !== 'controller')) {
      assert.equal(component.restarts, 0, `${component.name}: ${component.lastEnd}`);
    }
  });

  it('killed agents come back in time, and never let anything leave in clear', {
    skip: !IS_SOAK,
  }, async () => {
    const startedAt = performance.now();
    for (let round = 0; performance.now() - startedAt < DURATION_MS / 2; round += 1) {
      const capture = await bed.lab.capture();
      bed.lab.kill(round % 2 === 0 ? 'agent/node1' : 'agent/node2');
      const killedAt = performance.now();
      await bed.lab.waitFor(
        async () =>
          (await client.http({ url: 'http://web/canary-endurance', timeoutMs: 2_000 })).status ===
          200,
        { what: 'the agent to serve again', timeoutMs: AGENT_GAP_MS_MAX },
      );
      await capture.stop();
      assert.equal(capture.contains('canary-endurance'), false, `round ${round}`);
      assert.ok(performance.now() - killedAt < AGENT_GAP_MS_MAX, `round ${round}`);
      await bed.lab.clock.sleep(2_000);
    }
  });

  it('memory of the agents does not grow', { skip: !IS_SOAK }, async () => {
    const load = async (): Promise<void> => {
      await client.many({ url: 'http://web/' }, 2_000);
    };
    await load();
    const before = residentBytes('agent/node1');
    const startedAt = performance.now();
    while (performance.now() - startedAt < DURATION_MS / 2) {
      await load();
    }
    const after = residentBytes('agent/node1');
    assert.ok(after < before * GROWTH_MAX, `${before} bytes, then ${after}`);
  });
});
