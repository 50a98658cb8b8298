/**
 * `http-engine.ts PORT UPSTREAM_ADDRESS UPSTREAM_PORT ROUTES`: the waypoint's HTTP engine by itself, in clear text on both sides,
 * with the routes and rules of the comparison. What it costs without TLS and HBONE; a waypoint is never deployed so.
 */
import { connect, createServer } from 'node:net';
import { systemClock } from '@ambit/core';
import { HttpEngine, type MeshPlane } from '@ambit/http';
import { SocketConn } from '@ambit/proxy';
import { compileHttpRoutes, matchHttp } from '@ambit/routing';
import { parseObject } from '../../libs/api/src/index.ts';
import { startHarness } from '../../libs/http/src/fixtures/harness.ts';
import { allowRules, HTTP_HOST, httpRules, MANY_HOST, RULE_HEADER } from '../peers/http-rules.ts';

const [port = '', upstreamAddress = '', upstreamPort = '', routeCount = '20'] =
  process.argv.slice(2);
const HOST = 'reviews.shop.svc.cluster.local';
const SERVICE_PORT = 9080;
const rules = httpRules(Number(routeCount));

const virtualService = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'app', namespace: 'shop' },
  spec: {
    hosts: [HOST],
    http: rules.map(({ prefix }) => ({
      match: [{ uri: { prefix } }],
      route: [{ destination: { host: HOST, port: { number: SERVICE_PORT } } }],
    })),
  },
};

const harness = await startHarness({
  backends: [{ name: 'origin', port: Number(upstreamPort) }],
  objects: [
    {
      kind: 'AuthorizationPolicy',
      spec: {
        action: 'ALLOW',
        rules: allowRules(rules.length).map(({ prefix, method, headerValue }) => ({
          to: [{ operation: { methods: [method], paths: [`${prefix}*`] } }],
          when: [{ key: `request.headers[${RULE_HEADER}]`, values: [headerValue] }],
        })),
      },
    },
  ],
});

const { object, findings } = parseObject(virtualService);
if (object?.kind !== 'VirtualService') {
  throw new Error(JSON.stringify(findings));
}
const routes = compileHttpRoutes({
  service: { namespace: 'shop', name: 'reviews', hostname: HOST, ports: [SERVICE_PORT] },
  clusterDomain: 'cluster.local',
  portsOf: (host: string) => (host === HOST ? [SERVICE_PORT] : undefined),
  virtualServices: [object],
  httpRoutes: [],
});

/** As the waypoint's plane does: compiled once for each change, not for each request. */
const clusters = new Map<string, ReturnType<MeshPlane['cluster']>>();
const base = harness.plane;
const plane: MeshPlane = Object.assign(Object.create(base) as MeshPlane, {
  caller: base.caller,
  destination: base.destination,
  defaultCluster: base.defaultCluster,
  routeTcp: base.routeTcp,
  authorize: base.authorize.bind(base),
  // The host of the requests is that of the mesh in the lab.
  route: (request: Parameters<MeshPlane['route']>[0]) =>
    matchHttp(
      routes,
      request.authority === HTTP_HOST || request.authority === MANY_HOST
        ? { ...request, authority: HOST }
        : request,
    ),
  cluster: (ref: Parameters<MeshPlane['cluster']>[0]) => {
    const key = `${ref.host} ${ref.port}`;
    const known = clusters.get(key) ?? base.cluster(ref);
    clusters.set(key, known);
    return known;
  },
  dial: async (_target: unknown, signal: AbortSignal) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect({ host: upstreamAddress, port: Number(upstreamPort), signal });
    socket.setNoDelay(true);
    socket.once('connect', () => resolve());
    socket.once('error', reject);
    await promise;
    return new SocketConn(socket, { side: 'upstream' });
  },
});

const nothing = (): void => undefined;
const engine = new HttpEngine({
  clock: systemClock,
  identity: () => 'spiffe://cluster.local/ns/shop/sa/waypoint',
  observer: { onRequest: nothing, onConnectionOpened: nothing, onConnection: nothing },
});
engine.start();
createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  engine.serve(new SocketConn(socket, { side: 'downstream' }), plane).catch(() => socket.destroy());
}).listen({ port: Number(port), host: '0.0.0.0', backlog: 4_096 }, () => console.log('listening'));
