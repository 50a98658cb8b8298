/** For tests: one service behind the waypoint, and a control plane that says so to a whole waypoint. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@ambit/core';
import { HbonePool } from '@ambit/hbone';
import type { AppProtocol, MeshService, Workload } from '@ambit/model';
import { service as anyService, workload as anyWorkload } from '@ambit/model/testing';
import type { ByteConn } from '@ambit/proxy';
import { duplexFromConn } from '@ambit/proxy/testing';
import { FakeControlPlane } from '@ambit/testkit';

export const HOST = 'reviews.shop.svc.cluster.local';
export const VIP = '10.96.0.1';
export const PORT = 9080;
const KEY = `shop/${HOST}`;
export const WAYPOINT_ID = 'spiffe://cluster.local/ns/shop/sa/waypoint';
export const WAYPOINT_ADDRESS = {
  destination: {
    kind: 'hostname',
    hostname: { namespace: 'shop', hostname: 'waypoint.shop.svc.cluster.local' },
  },
  hboneMtlsPort: 15008,
} as const;

/** An endpoint of `reviews` on loopback. */
export function workload(
  name: string,
  targetPort: number,
  parts: Partial<Workload> = {},
): Workload {
  return anyWorkload(name, {
    addresses: ['127.0.0.1'],
    serviceAccount: 'reviews',
    services: { [KEY]: [{ servicePort: PORT, targetPort, appProtocol: 'HTTP11' }] },
    labels: { app: name },
    guard: { waypointIdentities: [WAYPOINT_ID], ports: [], exclusive: true, because: [] },
    ...parts,
  });
}

/** `reviews`, bound to the waypoint. */
export function service(protocol: AppProtocol, parts: Partial<MeshService> = {}): MeshService {
  return anyService('reviews', {
    addresses: [{ network: '', address: VIP }],
    ports: [{ servicePort: PORT, targetPort: 0, appProtocol: protocol }],
    waypoint: WAYPOINT_ADDRESS,
    canonical: true,
    ...parts,
  });
}

/** What a whole waypoint needs around it: controller, token, a backend that echoes, a client. */
export class WaypointBed implements AsyncDisposable {
  readonly plane: FakeControlPlane;
  readonly #folder: string;
  readonly #backend: Server;
  readonly #pools: HbonePool[] = [];

  private constructor(plane: FakeControlPlane, folder: string, backend: Server) {
    this.plane = plane;
    this.#folder = folder;
    this.#backend = backend;
  }

  static async start(): Promise<WaypointBed> {
    const plane = await FakeControlPlane.start();
    const folder = mkdtempSync(join(tmpdir(), 'ambit-waypoint-'));
    const target = await plane.target({
      namespace: 'shop',
      serviceAccount: 'waypoint',
      pod: 'waypoint-0',
      node: 'n1',
    });
    writeFileSync(join(folder, 'token'), (await target.token()) ?? '');
    writeFileSync(join(folder, 'root-cert.pem'), plane.ca.rootPem);
    const backend = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
    backend.listen(0, '127.0.0.1');
    await once(backend, 'listening');
    const { port } = backend.address() as AddressInfo;
    plane.apply({
      addresses: [
        { kind: 'service', service: service('TCP') },
        { kind: 'workload', workload: workload('reviews', port, { tunnelProtocol: 'NONE' }) },
      ],
    });
    return new WaypointBed(plane, folder, backend);
  }

  /** Of a waypoint that listens on free ports of loopback. */
  get env(): Readonly<Record<string, string>> {
    const any = '127.0.0.1:0';
    return {
      GATEWAY: 'shop/waypoint',
      POD_NAME: 'waypoint-0',
      POD_NAMESPACE: 'shop',
      SERVICE_ACCOUNT: 'waypoint',
      NODE_NAME: 'n1',
      XDS_ADDRESS: this.plane.address,
      XDS_ROOT_CA: join(this.#folder, 'root-cert.pem'),
      CA_ROOT_CA: join(this.#folder, 'root-cert.pem'),
      AMBIT_TOKEN_PATH: join(this.#folder, 'token'),
      AMBIT_ADMIN_SOCKET: join(this.#folder, 'admin.sock'),
      AMBIT_HBONE_ADDRESS: any,
      AMBIT_ADMIN_ADDRESS: any,
      AMBIT_METRICS_ADDRESS: any,
      AMBIT_READINESS_ADDRESS: any,
      AMBIT_WORKERS: '2',
      AMBIT_LOG_LEVEL: 'off',
    };
  }

  /** A tunnel of its own to the service, through the waypoint on that port. */
  async open(port: number): Promise<ByteConn> {
    const identity = this.plane.ca.workload('shop', 'client');
    const pool = new HbonePool({
      clock: systemClock,
      identity: () => identity,
      dial: async (key) => {
        const socket = connect(key.port, key.address);
        await once(socket, 'connect');
        return socket;
      },
    });
    this.#pools.push(pool);
    const { conn } = await pool.connect(
      {
        sourceIdentity: identity.identity,
        expectedIdentities: [WAYPOINT_ID],
        address: '127.0.0.1',
        port,
        sourcePod: 'x',
      },
      { authority: `${VIP}:${PORT}` },
    );
    return conn;
  }

  /** What the backend answers to the text, on a connection of its own. */
  async echo(port: number, text: string): Promise<string> {
    const socket = duplexFromConn(await this.open(port));
    socket.end(text);
    return (await socket.toArray()).join('');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pool of this.#pools) {
      pool.destroy();
    }
    this.plane.stop();
    const closed = once(this.#backend, 'close');
    this.#backend.close();
    await closed;
    rmSync(this.#folder, { recursive: true });
  }
}
