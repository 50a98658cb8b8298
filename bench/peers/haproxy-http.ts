/** HAProxy as an HTTP proxy: the base of all ratios. */

import { startHaproxy } from './haproxy-tunnel.ts';
import type { HttpPeer, HttpPeerOptions } from './http-proxy.ts';
import { PEER_PORTS } from './http-proxy.ts';
import { HTTP_RULES, RULE_HEADER } from './http-rules.ts';

export function haproxyPeer(version: string): HttpPeer {
  return {
    name: 'haproxy',
    title: 'HAProxy',
    version,
    start: async (options) =>
      await startHaproxy(options.netns, {
        folder: options.folder,
        name: 'haproxy-peer',
        config: haproxyPeerConfig(options),
        ports: Object.values(PEER_PORTS),
      }),
  };
}

/** A route each has a backend of its own, as routes to different services have. */
export function haproxyPeerConfig({ tls, upstream }: HttpPeerOptions): string {
  const { proxy, server } = tls.leaves;
  const upstreamTls = `ssl crt ${proxy.combined} ca-file ${tls.ca} verify required verifyhost ${server.host}`;
  const allow = HTTP_RULES.map(
    ({ prefix, method, headerValue }) =>
      `  http-request allow if { path_beg ${prefix} } { method ${method} } { req.hdr(${RULE_HEADER}) ${headerValue} }`,
  );
  const routes = HTTP_RULES.map(
    ({ index, prefix }) => `  use_backend app-${index} if { path_beg ${prefix} }`,
  );
  const backends = HTTP_RULES.map(
    ({ index }) => `backend app-${index}
  server app ${upstream.address}:${upstream.port} ${upstream.isTls ? upstreamTls : ''}`,
  );
  return `global
  nbthread 1
  maxconn 9000
  ssl-default-bind-ciphersuites TLS_AES_256_GCM_SHA384
  ssl-default-server-ciphersuites TLS_AES_256_GCM_SHA384
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode http
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  option http-keep-alive
  http-reuse always
frontend in
  bind :${PEER_PORTS.http1}
  bind :${PEER_PORTS.http2} proto h2
  bind :${PEER_PORTS.tls} ssl crt ${proxy.combined} ca-file ${tls.ca} verify required alpn h2,http/1.1
${allow.join('\n')}
  http-request deny
${routes.join('\n')}
${backends.join('\n')}
`;
}
