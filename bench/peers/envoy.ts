/** Envoy as an HTTP proxy, one worker, rules by its RBAC filter. Its configuration is JSON, which it takes as YAML. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Program } from '../measure/program.ts';
import {
  type HttpPeer,
  type HttpPeerOptions,
  type HttpUpstream,
  PEER_PORTS,
} from './http-proxy.ts';
import { HTTP_RULES, RULE_HEADER } from './http-rules.ts';
import type { TlsFiles } from './tls-files.ts';
import { ensureEnvoy } from './tools.ts';

const START_MS = 20_000;
const EXTENSIONS = 'type.googleapis.com/envoy.extensions';

/** Installs it when it is not there. Throws with the reason when that is not possible. */
export function ensureEnvoyPeer(cache: string, onProgress: (line: string) => void): HttpPeer {
  const { binary, version } = ensureEnvoy(cache, onProgress);
  return envoyPeer(binary, version);
}

function envoyPeer(binary: string, version: string): HttpPeer {
  return {
    name: 'envoy',
    title: 'Envoy',
    version,
    start: async (options) => {
      const file = join(options.folder, 'envoy.json');
      writeFileSync(file, JSON.stringify(envoyConfig(options)));
      const program = Program.start(options.netns, [
        ...[binary, '-c', file, '--concurrency', '1', '-l', 'error'],
        ...['--disable-hot-restart'],
      ]);
      await program.waitForPorts(options.netns, Object.values(PEER_PORTS), START_MS);
      return program;
    },
  };
}

export function envoyConfig({ tls, upstream }: HttpPeerOptions): unknown {
  const clear = (['http1', 'http2'] as const).map((name) => ({
    name,
    address: address('0.0.0.0', PEER_PORTS[name]),
    filter_chains: [{ filters: [connectionManager()] }],
  }));
  const secured = {
    name: 'tls',
    address: address('0.0.0.0', PEER_PORTS.tls),
    filter_chains: [{ filters: [connectionManager()], transport_socket: downstreamTls(tls) }],
  };
  return {
    static_resources: { listeners: [...clear, secured], clusters: [cluster(tls, upstream)] },
  };
}

function connectionManager(): unknown {
  const routes = HTTP_RULES.map(({ prefix }) => ({
    match: { prefix },
    route: { cluster: 'app', timeout: '15s' },
  }));
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: 'in',
      codec_type: 'AUTO',
      route_config: { virtual_hosts: [{ name: 'app', domains: ['*'], routes }] },
      http_filters: [
        {
          name: 'envoy.filters.http.rbac',
          typed_config: { '@type': `${EXTENSIONS}.filters.http.rbac.v3.RBAC`, rules: rbac() },
        },
        {
          name: 'envoy.filters.http.router',
          typed_config: { '@type': `${EXTENSIONS}.filters.http.router.v3.Router` },
        },
      ],
    },
  };
}

function rbac(): unknown {
  const header = (name: string, exact: string): unknown => ({
    header: { name, string_match: { exact } },
  });
  const policies = HTTP_RULES.map(({ index, prefix, method, headerValue }) => [
    `rule-${index}`,
    {
      permissions: [
        {
          and_rules: {
            rules: [
              { url_path: { path: { prefix } } },
              header(':method', method),
              header(RULE_HEADER, headerValue),
            ],
          },
        },
      ],
      principals: [{ any: true }],
    },
  ]);
  return { action: 'ALLOW', policies: Object.fromEntries(policies) };
}

function cluster(tls: TlsFiles, { address: host, port, isTls }: HttpUpstream): unknown {
  return {
    name: 'app',
    type: 'STATIC',
    connect_timeout: '10s',
    load_assignment: {
      cluster_name: 'app',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(host, port) } }] }],
    },
    ...(isTls ? { transport_socket: upstreamTls(tls) } : {}),
  };
}

function commonTls(tls: TlsFiles): Record<string, unknown> {
  const file = (filename: string): unknown => ({ filename });
  const { certificate, key } = tls.leaves.proxy;
  return {
    // As a client Envoy stops at 1.2 unless told.
    tls_params: {
      tls_minimum_protocol_version: 'TLSv1_3',
      tls_maximum_protocol_version: 'TLSv1_3',
    },
    tls_certificates: [{ certificate_chain: file(certificate), private_key: file(key) }],
    validation_context: { trusted_ca: file(tls.ca) },
  };
}

function downstreamTls(tls: TlsFiles): unknown {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext`,
      require_client_certificate: true,
      common_tls_context: { ...commonTls(tls), alpn_protocols: ['h2', 'http/1.1'] },
    },
  };
}

function upstreamTls(tls: TlsFiles): unknown {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext`,
      sni: tls.leaves.server.host,
      common_tls_context: commonTls(tls),
    },
  };
}

function address(host: string, port: number): unknown {
  return { socket_address: { address: host, port_value: port } };
}
