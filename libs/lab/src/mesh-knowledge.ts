/** Whether the agents know what runs: a pod that is ready is of no use to those that have not heard of it. */
import type { LabPod } from './pod.ts';
import { unixGet } from './unix-get.ts';

/** True when every agent's dump shows every one of these pods healthy, at its addresses. Rejects if one is away. */
export async function agentsKnow(
  adminSockets: readonly string[],
  pods: readonly LabPod[],
): Promise<boolean> {
  const dumps = await Promise.all(adminSockets.map((socket) => unixGet(socket, '/config_dump')));
  return dumps.every((dump) => {
    const workloads = isRecord(dump) && Array.isArray(dump['workloads']) ? dump['workloads'] : [];
    const known = workloads.filter(isRecord);
    return pods.every((pod) => known.some((workload) => isSame(workload, pod)));
  });
}

function isSame(workload: Readonly<Record<string, unknown>>, { plan, addresses }: LabPod): boolean {
  const held = workload['workloadIps'];
  return (
    workload['name'] === plan.name &&
    workload['namespace'] === plan.namespace &&
    workload['status'] === 'Healthy' &&
    Array.isArray(held) &&
    addresses.every((address) => held.includes(address))
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
