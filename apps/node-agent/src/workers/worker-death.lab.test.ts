import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { silentLogger } from '@ambit/telemetry';
import { DEFAULT_PROBE_SOURCES } from '../capture/rules.ts';
import {
  ask,
  type Cable,
  connectPodAndPeer,
  dial,
  EchoServer,
  PEER,
  POD,
} from '../capture/testing.ts';
import { MeshState } from '../control/mesh-state.ts';
import { CapturedPodSteps } from '../pods/captured-pod.ts';
import { until, workload } from '../testing.ts';
import { WorkerPool } from './worker-pool.ts';
import { threadSpawner, type WorkerPort } from './worker-port.ts';

const APP = 8080;

const NO_NAMES = {
  leave: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

describe('a worker that dies', () => {
  let cable: Cable;
  let app: EchoServer;
  let pool: WorkerPool;
  let steps: CapturedPodSteps;
  const ports: WorkerPort[] = [];
  let deaths = 0;

  before(async () => {
    cable = await connectPodAndPeer();
    app = await EchoServer.listen(cable.pod, APP, 'app:');
    const state: MeshState = new MeshState({
      network: '',
      fanOut: (change) => pool.applyResources(change),
      onEnrolments: () => undefined,
    });
    const spawn = threadSpawner({
      entry: new URL('../worker/worker-main.ts', import.meta.url),
      workerData: () => ({ logSpec: 'off' }),
    });
    pool = new WorkerPool({
      count: 2,
      clock: systemClock,
      log: silentLogger(),
      spawn: (index, events) => {
        const port = spawn(index, {
          ...events,
          onExit: (reason) => {
            deaths++;
            events.onExit(reason);
          },
        });
        ports[index] = port;
        return port;
      },
      state: { resources: () => state.resources(), certificates: () => [] },
    });
    await pool.start();
    await state.applyAddresses({
      changed: [
        workload('server', POD.v4, { tunnelProtocol: 'HBONE' }),
        workload('outsider', PEER.v4, { tunnelProtocol: 'NONE' }),
      ],
      removed: [],
    });
    steps = new CapturedPodSteps({
      pod: {
        uid: 'uid-server',
        name: 'server',
        namespace: 'shop',
        serviceAccount: 'server',
        labels: {},
        annotations: {},
        netnsPath: '/unused',
        ips: [POD.v4],
      },
      ns: cable.pod,
      workers: pool,
      names: { serve: () => Promise.resolve(NO_NAMES) },
      certificates: { warm: () => Promise.resolve() },
      isSuperseded: () => false,
      probes: { add: () => Promise.resolve(), remove: () => Promise.resolve() },
    });
    await steps.listen(new AbortController().signal);
    await steps.applyRules({
      dnsCapture: false,
      bypassInbound: false,
      virtualInterfaces: [],
      probeSources: DEFAULT_PROBE_SOURCES,
    });
  });
  after(async () => {
    await steps.kill();
    pool.stop();
    await app.stop();
    cable[Symbol.dispose]();
  });

  it('loses its connections, and new ones wait for its replacement', async () => {
    const call = async (): Promise<string> => {
      const socket = await dial(cable.peer, { address: POD.v4, port: APP });
      const answer = await ask(socket, 'x');
      socket.destroy();
      return answer;
    };
    const open = await dial(cable.peer, { address: POD.v4, port: APP });
    assert.equal(await ask(open, '1'), 'app:1');
    open.on('error', () => undefined);
    const lost = once(open, 'close');
    for (const port of ports) {
      port.terminate();
    }
    await until(() => deaths === 2, 'both are dead');
    const answers = await Promise.all(Array.from({ length: 10 }, call));
    assert.deepEqual(new Set(answers), new Set(['app:x']));
    assert.equal(pool.replacements, 2);
    await lost;
  });
});
