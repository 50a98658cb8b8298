/**
 * `tunnel-worker.ts`: the agent's worker with one captured pod on loopback addresses and an application behind that echoes. Says
 * on stdout where its port 15008 is and as whom a client may come.
 */
import { dropIdleSlabs } from '@ambit/proxy';
import { workload } from '../../apps/node-agent/src/worker/testing/fixtures.ts';
import { WorkerRig } from '../../apps/node-agent/src/worker/testing/worker-rig.ts';
import { tellHeldBytes } from './held-bytes.ts';

const rig = new WorkerRig();
const { privateKeyPem: key, chainPem: cert, rootsPem: ca } = rig.ca.workload('shop', 'client');
rig.workloads(
  workload('client', { addresses: [rig.address(1)] }),
  workload('server', { addresses: [rig.address(2)] }),
);
rig.certify('server');
await rig.addPod(2, 'server');
const port = await rig.serve(2, (socket) => void socket.pipe(socket));
const target = {
  ...{ kind: 'tunnel', host: rig.address(2), port: 15_008, tls: { key, cert, ca } },
  ...{ authority: `${rig.address(2)}:${port}`, client: rig.address(1), attacker: rig.address(3) },
};
tellHeldBytes(() => {
  // The rig keeps its log and its dials, for tests that read them.
  rig.lines.length = 0;
  rig.dialled.length = 0;
  dropIdleSlabs();
});
console.log(JSON.stringify(target));
