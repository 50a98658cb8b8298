import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { createNetns, type Netns, spawnInNetns } from '@ambit/netns';
import { AGENT_CAPABILITIES } from './agent.ts';

/** What the agent does to a pod: opens its namespace by a process of another user, enters it, writes rules, routes, sysctls. */
const PROGRAM = `
import { applyNft, openNetns, runIp, writeSysctl } from '@ambit/netns';
const ns = openNetns('/proc/' + process.argv[1] + '/ns/net');
await applyNft(ns, 'table inet t {\\n chain c { type nat hook output priority 0; policy accept; }\\n}\\n');
await runIp(ns, ['route', 'replace', 'local', '0.0.0.0/0', 'dev', 'lo', 'table', '100']);
writeSysctl(ns, 'net.ipv4.tcp_migrate_req', '1');
`;
const NOBODY = '65534';

let pod: Netns;
let processOfPod: ChildProcess;

before(async () => {
  pod = createNetns();
  const args = ['--reuid', NOBODY, '--regid', NOBODY, '--clear-groups', 'sleep', '60'];
  processOfPod = spawnInNetns(pod, 'setpriv', args, { stdio: 'ignore' });
  await new Promise((resolve) => processOfPod.once('spawn', resolve));
});

after(() => {
  processOfPod.kill('SIGKILL');
  pod[Symbol.dispose]();
});

async function runWith(capabilities: readonly string[]): Promise<number | null> {
  const names = capabilities.map((name) => `,+${name.toLowerCase()}`).join('');
  const node = [process.execPath, '--input-type=module', '-e', PROGRAM, String(processOfPod.pid)];
  const limits = [`--bounding-set=-all${names}`, '--inh-caps=-all', '--no-new-privs'];
  const child = spawn('setpriv', [...limits, ...node], {
    cwd: import.meta.dirname,
    stdio: 'ignore',
  });
  return await new Promise((resolve) => child.once('exit', resolve));
}

describe('the capabilities of the agent', () => {
  const names = AGENT_CAPABILITIES.map(({ name }) => name);

  it('are enough for what it does to a pod', async () => {
    execFileSync('setpriv', ['--version'], { stdio: 'ignore' });
    assert.equal(await runWith(names), 0);
  });

  for (const left of names) {
    it(`include ${left} for a reason`, async () => {
      assert.notEqual(await runWith(names.filter((name) => name !== left)), 0);
    });
  }
});
