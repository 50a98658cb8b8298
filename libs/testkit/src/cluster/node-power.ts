/**
 * Nodes that lose their power: by $AMBIT_NODE_POWER, words apart by blanks, with `stop NODE` or `start NODE` appended. The first
 * ends the node at once, the second boots it again with the disk it had.
 */
import { spawn } from 'node:child_process';
import { systemClock } from '@ambit/core';
import { finish } from './kubectl.ts';
import type { MeshCluster } from './mesh-cluster.ts';

/**
 * Takes the device of the default route down, a moment after the answer to this has left by it. What is then closed is not
 * repeated for minutes: in a namespace it would keep the node's network, and the node from booting.
 */
const CUT = `
echo 1 > /proc/sys/net/ipv4/tcp_orphan_retries
device=$(ip -o route show default | sed 's/.* dev \\([^ ]*\\).*/\\1/')
(sleep 1; ip link set "$device" down) < /dev/null > /dev/null 2>&1 &
date +%s%3N`;
const CUT_AFTER_MS = 1_000;
const CUT_MS = 2_000;

/** Throws where nothing can switch nodes. */
export function requirePower(): void {
  if ((process.env['AMBIT_NODE_POWER'] ?? '') === '') {
    throw new Error(
      'AMBIT_NODE_POWER is not set: a command that ends a node with "stop NODE" and boots it with "start NODE", "docker" for kind',
    );
  }
}

/**
 * As a power cut: nobody hears a FIN or a reset of the node. Its network goes first, because where a node is no machine of its own
 * the processes that end with it still say good-bye. Answers when that was, by the node's own clock: not before, and later only by
 * what a busy machine takes to start a program.
 */
export async function powerOff(mesh: MeshCluster, node: string): Promise<number> {
  const toldAtMs = Number(await mesh.onNode(node, 'sh', '-c', CUT));
  await systemClock.sleep(CUT_MS);
  await power('stop', node);
  return toldAtMs + CUT_AFTER_MS;
}

export async function powerOn(node: string): Promise<void> {
  await power('start', node);
}

async function power(what: 'stop' | 'start', node: string): Promise<void> {
  requirePower();
  const [command = '', ...first] = (process.env['AMBIT_NODE_POWER'] ?? '').split(' ');
  const { code, stdout, stderr } = await finish(spawn(command, [...first, what, node]));
  if (code !== 0) {
    throw new Error(`${command} ${what} ${node} ended with ${code}\n${stderr}${stdout}`);
  }
}
