/** The last leg of an inbound connection: into the application, from the client's own address. */
import type { Socket } from 'node:net';

import type { Cancellation } from '@ambit/core';
import type { MeshService, Workload } from '@ambit/model';

import type { MeshState } from './mesh-state.ts';
import type { PodSockets } from './pod-sockets.ts';

export async function dialApplication(
  sockets: PodSockets,
  target: {
    readonly ip: string;
    readonly port: number;
    readonly clientIp: string;
    readonly signal: Cancellation;
  },
): Promise<Socket> {
  const { ip, port, clientIp, signal } = target;
  // A pod that calls itself has the address already, and nothing foreign may reach loopback.
  const isBorrowed = clientIp !== ip && !isLoopback(ip) && !isLoopback(clientIp);
  return await sockets.dial({
    address: ip,
    port,
    signal,
    ...(isBorrowed && { source: clientIp }),
  });
}

function isLoopback(ip: string): boolean {
  return ip === '::1' || ip.startsWith('127.');
}

/** Which service was meant: the named one if the workload serves it, else the first with that target port. */
export function serviceOf(
  local: Workload,
  meant: { readonly host: string | undefined; readonly port: number },
  mesh: MeshState,
): MeshService | undefined {
  let first: MeshService | undefined;
  for (const [key, ports] of Object.entries(local.services)) {
    const service = mesh.index.services.get(key);
    if (service === undefined) {
      continue;
    }
    if (meant.host !== undefined && service.hostname === meant.host) {
      return service;
    }
    if (ports.some(({ targetPort }) => targetPort === meant.port)) {
      first ??= service;
    }
  }
  return first;
}
