/**
 * `http-engine.ts PORT UPSTREAM_ADDRESS UPSTREAM_PORT ROUTES`: the waypoint's HTTP engine by itself, in clear text on both sides,
 * with the routes and rules of the comparison, looked up as a waypoint's worker does it, and with its access log and metrics. What it
 * costs without TLS and HBONE; a waypoint is never deployed so. The log's bytes go to the null device.
 */
import { createWriteStream } from 'node:fs';
import { connect, createServer } from 'node:net';
import { devNull } from 'node:os';
import { systemClock } from '@ambit/core';
import { HttpEngine } from '@ambit/http';
import { MeshIndex, WaypointView } from '@ambit/model';
import { dropIdleSlabs, SocketConn } from '@ambit/proxy';
import { BatchedSink, createLogger, LogLevels, workerResourceLimits } from '@ambit/telemetry';
import { AccessLog } from '../../apps/waypoint/src/proxy/access-log.ts';
import { MeshContext } from '../../apps/waypoint/src/proxy/mesh-context.ts';
import { RequestMetrics } from '../../apps/waypoint/src/proxy/request-metrics.ts';
import { WaypointPlane } from '../../apps/waypoint/src/proxy/waypoint-plane.ts';
import {
  modelOf,
  namespace,
  networking,
  pod,
  policy,
  service,
} from '../../libs/model/src/objects.testing.ts';
import { allowRules, httpRules, RULE_HEADER } from '../peers/http-rules.ts';
import { tellHeldBytes } from './held-bytes.ts';

const [port = '', upstreamAddress = '', upstreamPort = '', routeCount = '20'] =
  process.argv.slice(2);
const NAMESPACE = 'shop';
const NAME = 'app';
const HOST = `${NAME}.${NAMESPACE}.svc.cluster.local`;
const SERVICE_PORT = 80;
const SERVICE_ADDRESS = '10.1.0.1';
const CLIENT_ADDRESS = '10.0.0.7';
const rules = httpRules(Number(routeCount));
tellHeldBytes(dropIdleSlabs);
// For the flags that a program of workers sets.
workerResourceLimits(undefined);

const routes = networking('VirtualService', NAME, {
  hosts: [HOST],
  http: rules.map(({ prefix }) => ({
    match: [{ uri: { prefix } }],
    route: [{ destination: { host: HOST, port: { number: SERVICE_PORT } } }],
  })),
});
const allowed = policy(NAME, {
  targetRefs: [{ group: '', kind: 'Service', name: NAME }],
  action: 'ALLOW',
  rules: allowRules(rules.length).map(({ prefix, method, headerValue }) => ({
    to: [{ operation: { methods: [method], paths: [`${prefix}*`] } }],
    when: [{ key: `request.headers[${RULE_HEADER}]`, values: [headerValue] }],
  })),
});
const { outputs } = modelOf(
  namespace(NAMESPACE, { 'istio.io/dataplane-mode': 'ambient' }),
  pod('client', CLIENT_ADDRESS, { account: 'client' }),
  pod('server', '10.0.0.1'),
  service(NAME, SERVICE_ADDRESS, {
    selector: { app: 'server' },
    ports: [{ name: 'http', port: SERVICE_PORT, targetPort: Number(upstreamPort) }],
  }),
);
const index = new MeshIndex({ network: '' });
index.apply({ changed: outputs.addresses.values(), removed: [] });
const view = new WaypointView(index, {
  ...{ namespace: NAMESPACE, name: 'waypoint', className: 'istio-waypoint' },
  ...{ trustDomain: 'cluster.local', rootNamespace: 'istio-system' },
  clusterDomain: 'cluster.local',
});
view.apply({ changed: [routes, allowed], removed: [] });

const mesh = new MeshContext({
  index,
  view,
  dial: async (_call, signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect({ host: upstreamAddress, port: Number(upstreamPort), signal });
    socket.setNoDelay(true);
    socket.once('connect', () => resolve());
    socket.once('error', reject);
    await promise;
    return new SocketConn(socket, { side: 'upstream' });
  },
});
const caller = {
  identity: `spiffe://cluster.local/ns/${NAMESPACE}/sa/client`,
  trustDomain: 'cluster.local',
  namespace: NAMESPACE,
  serviceAccount: 'client',
  ip: CLIENT_ADDRESS,
  port: 40_000,
};
const target = view.target(`${SERVICE_ADDRESS}:${SERVICE_PORT}`, NAMESPACE);
if (target.kind !== 'service') {
  throw new Error(JSON.stringify(target));
}
const { service: named } = target;
const planes = new Map<string, WaypointPlane>();

/** One for all clients of an address, so that they share connections to the server. Those of 127.0.0.1 are the client. */
function planeOf(address: string): WaypointPlane {
  let plane = planes.get(address);
  if (plane === undefined) {
    plane = new WaypointPlane(
      address === '127.0.0.1' ? caller : { ...caller, ip: address },
      {
        ...{ kind: 'service', authority: `${SERVICE_ADDRESS}:${SERVICE_PORT}` },
        ...{ service: named, port: SERVICE_PORT, protocol: 'HTTP11' },
      },
      mesh,
    );
    planes.set(address, plane);
  }
  return plane;
}
/** As a waypoint's worker waits. */
const LINES_WAIT_MS = 50;
const log = createLogger({
  scope: 'worker',
  levels: new LogLevels('info'),
  sink: new BatchedSink(createWriteStream(devNull), (flush) => {
    setTimeout(flush, LINES_WAIT_MS);
  }),
  wallNow: () => systemClock.wallNow(),
});
const access = new AccessLog(log.scoped('access'));
const metrics = new RequestMetrics();
const engine = new HttpEngine({
  clock: systemClock,
  identity: () => 'spiffe://cluster.local/ns/shop/sa/waypoint',
  observer: {
    onRequest: (record) => {
      metrics.request(record);
      access.request(record);
    },
    onConnectionOpened: (record) => metrics.opened(record),
    onConnection: (record) => {
      metrics.connection(record);
      access.connection(record);
    },
  },
});
engine.start();
createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  const plane = planeOf(socket.remoteAddress ?? '');
  engine.serve(new SocketConn(socket, { side: 'downstream' }), plane).catch(() => socket.destroy());
}).listen({ port: Number(port), host: '0.0.0.0', backlog: 4_096 }, () => console.log('listening'));
