/** nginx: the origin of every HTTP measurement (1 KB answers), and one of the peers. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Netns } from '@ambit/netns';
import { Program } from '../measure/program.ts';
import { type HttpPeer, type HttpPeerOptions, PEER_PORTS } from './http-proxy.ts';
import { HTTP_RULES, RULE_HEADER } from './http-rules.ts';

const START_MS = 10_000;
const BODY_BYTES = 1_024;
const UPSTREAM_IDLE = 128;

export async function startOrigin(
  netns: Netns,
  { folder, name, port }: { readonly folder: string; readonly name: string; readonly port: number },
): Promise<Program> {
  const server = `
  server {
    listen ${port} backlog=4096;
    location / { default_type text/plain; return 200 "${'x'.repeat(BODY_BYTES)}"; }
  }`;
  return await startNginx(netns, { folder, name, http: server, ports: [port] });
}

export function nginxPeer(version: string): HttpPeer {
  return {
    name: 'nginx',
    title: 'nginx',
    version,
    start: async (options) =>
      await startNginx(options.netns, {
        folder: options.folder,
        name: 'nginx-peer',
        http: peerConfig(options),
        ports: Object.values(PEER_PORTS),
      }),
  };
}

/** The `http` block of the peer. Rules by regular expressions in one map, which is how nginx does such a thing. */
export function peerConfig({ tls, upstream }: HttpPeerOptions): string {
  const { proxy } = tls.leaves;
  const scheme = upstream.isTls ? 'https' : 'http';
  const upstreamTls = `
    proxy_ssl_certificate ${proxy.certificate};
    proxy_ssl_certificate_key ${proxy.key};
    proxy_ssl_trusted_certificate ${tls.ca};
    proxy_ssl_verify on;
    proxy_ssl_name ${tls.leaves.server.host};
    proxy_ssl_protocols TLSv1.3;`;
  const allowed = HTTP_RULES.map(
    ({ method, prefix, headerValue }) => `    "~^${method} ${headerValue} ${prefix}" 1;`,
  );
  const routes = HTTP_RULES.map(
    ({ prefix }) => `    location ${prefix} { proxy_pass ${scheme}://app; }`,
  );
  const common = `
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;${upstream.isTls ? upstreamTls : ''}
    if ($is_allowed = 0) { return 403; }
${routes.join('\n')}`;
  return `
  map "$request_method $http_${RULE_HEADER.replaceAll('-', '_')} $uri" $is_allowed {
    default 0;
${allowed.join('\n')}
  }
  upstream app {
    server ${upstream.address}:${upstream.port};
    keepalive ${UPSTREAM_IDLE};
    keepalive_requests 100000000;
  }
  server {
    listen ${PEER_PORTS.http1} backlog=4096;
    listen ${PEER_PORTS.http2} http2 backlog=4096;${common}
  }
  server {
    listen ${PEER_PORTS.tls} ssl http2 backlog=4096;
    ssl_certificate ${proxy.certificate};
    ssl_certificate_key ${proxy.key};
    ssl_client_certificate ${tls.ca};
    ssl_verify_client on;
    ssl_protocols TLSv1.3;${common}
  }`;
}

async function startNginx(
  netns: Netns,
  options: {
    readonly folder: string;
    readonly name: string;
    readonly http: string;
    readonly ports: readonly number[];
  },
): Promise<Program> {
  const { folder, name, http, ports } = options;
  const file = join(folder, `${name}.conf`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `  ${kind}_temp_path ${folder}/${name}-${kind};`)
    .join('\n');
  writeFileSync(
    file,
    `daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
error_log stderr crit;
pid ${folder}/${name}.pid;
events { worker_connections 9000; }
http {
  access_log off;
  keepalive_timeout 1h;
  keepalive_requests 100000000;
${temporary}
${http}
}
`,
  );
  const program = Program.start(netns, ['nginx', '-p', folder, '-e', 'stderr', '-c', file]);
  await program.waitForPorts(netns, ports, START_MS);
  return program;
}
