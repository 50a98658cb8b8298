/** One attempt of a readiness probe, made from the node as kubelet makes it. Never rejects. */

import { once } from 'node:events';
import { request } from 'node:http';
import type { Socket } from 'node:net';
import type { Container, Probe } from '@ambit/api';
import { dialFrom, type Netns, tcpSocket } from '@ambit/netns';
import type { DualAddress } from './addresses.ts';

export interface ProbeTarget {
  /** Of the node. */
  readonly netns: Netns;
  readonly address: DualAddress;
  readonly container: Container;
  /** Runs a command where the container runs; resolves to its exit code. */
  exec(command: readonly string[], signal: AbortSignal): Promise<number | null>;
}

/** Undefined for success, else why not. */
export async function attemptProbe(probe: Probe, target: ProbeTarget): Promise<string | undefined> {
  const signal = AbortSignal.timeout(probe.timeoutSeconds * 1_000);
  try {
    if (probe.exec !== undefined) {
      const code = await target.exec(probe.exec.command, signal);
      return code === 0 ? undefined : `exit code ${code}`;
    }
    const port = resolvePort(probe.httpGet?.port ?? probe.tcpSocket?.port, target.container);
    if (port === undefined) {
      return 'the probe names a port that the container does not have';
    }
    if (probe.httpGet === undefined) {
      const socket = dial(target, port, signal);
      await once(socket, 'connect', { signal });
      socket.destroy();
      return undefined;
    }
    const status = await httpStatus(target, { port, path: probe.httpGet.path }, signal);
    return status >= 200 && status < 400 ? undefined : `HTTP status ${status}`;
  } catch (error) {
    return signal.aborted ? `no answer in ${probe.timeoutSeconds} s` : String(error);
  }
}

/** A number, or the number of the container port of that name. */
export function resolvePort(
  port: number | string | undefined,
  container: Container,
): number | undefined {
  return typeof port === 'string'
    ? container.ports.find(({ name }) => name === port)?.containerPort
    : port;
}

/** As a program of the node; what makes it a probe is the agent's rule there. The socket ends with the attempt. */
function dial({ netns, address }: ProbeTarget, port: number, signal: AbortSignal): Socket {
  const fd = tcpSocket(netns, { family: 4 });
  const socket = dialFrom(fd, { address: address.v4, port });
  socket.on('error', () => socket.destroy());
  signal.addEventListener('abort', () => socket.destroy(), { once: true });
  return socket;
}

interface HttpProbe {
  readonly port: number;
  readonly path: string;
}

async function httpStatus(
  target: ProbeTarget,
  { port, path }: HttpProbe,
  signal: AbortSignal,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const socket = dial(target, port, signal);
  socket.on('close', () => reject(new Error('connection closed')));
  const outgoing = request(
    {
      path,
      headers: {
        host: `${target.address.v4}:${port}`,
        'user-agent': 'kube-probe/1',
        connection: 'close',
      },
      createConnection: () => socket,
    },
    (response) => {
      resolve(response.statusCode ?? 0);
      response.resume();
      socket.destroy();
    },
  );
  outgoing.on('error', reject);
  outgoing.end();
  return await promise;
}
