/**
 * HAProxy as the two ends of a tunnel: TCP in, mutual TLS between, TCP out. One TLS connection a client connection,
 * so it has no HTTP/2 and no pool to pay for, and pays a handshake for each connection instead.
 *
 * Settings: TLS 1.3, AES-256-GCM, X25519, buffers of 64 KiB. Sessions are resumed, as HAProxy does by default: it is
 * the harder line to beat, and without it each connection costs half as much again.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Netns } from '@ambit/netns';
import { Program } from '../measure/program.ts';
import type { TlsFiles } from './tls-files.ts';

const START_MS = 10_000;
const BUFFER_BYTES = 65_536;
/** Two descriptors each must fit into the usual limit of 20,000. */
const CONNECTIONS_MAX = 9_000;
const CIPHERS = 'TLS_AES_256_GCM_SHA384';

export interface TunnelPort {
  /** Clear text, on loopback in the client's namespace. */
  readonly entry: number;
  /** mTLS, in the server's namespace. */
  readonly wire: number;
  /** Clear text, the server's own. */
  readonly exit: number;
}

export interface ClientEndOptions {
  readonly tls: TlsFiles;
  readonly threads: number;
  readonly serverAddress: string;
  readonly ports: readonly Pick<TunnelPort, 'entry' | 'wire'>[];
  /** What the server's certificate must name. */
  readonly expectedHost: string;
  readonly alpn?: 'h2';
}

export interface ServerEndOptions {
  readonly tls: TlsFiles;
  readonly threads: number;
  readonly ports: readonly Pick<TunnelPort, 'wire' | 'exit'>[];
}

export function clientEndConfig(options: ClientEndOptions): string {
  const { tls, serverAddress, expectedHost, alpn } = options;
  const server = [
    `ssl crt ${tls.leaves.client.combined} ca-file ${tls.ca} verify required`,
    `verifyhost ${expectedHost}`,
    alpn === undefined ? '' : `alpn ${alpn}`,
  ].join(' ');
  const listeners = options.ports.map(
    ({ entry, wire }) => `
listen entry-${entry}
  bind 127.0.0.1:${entry}
  server peer ${serverAddress}:${wire} ${server}`,
  );
  return `${globalPart(options.threads)}${listeners.join('\n')}\n`;
}

export function serverEndConfig({ tls, threads, ports }: ServerEndOptions): string {
  const listeners = ports.map(
    ({ wire, exit }) => `
listen wire-${wire}
  bind :${wire} ssl crt ${tls.leaves.server.combined} ca-file ${tls.ca} verify required
  server app 127.0.0.1:${exit}`,
  );
  return `${globalPart(threads)}${listeners.join('\n')}\n`;
}

/** Resolves when it listens on `ports`. */
export async function startHaproxy(
  netns: Netns,
  options: {
    readonly folder: string;
    readonly name: string;
    readonly config: string;
    readonly ports: readonly number[];
  },
): Promise<Program> {
  const file = join(options.folder, `${options.name}.cfg`);
  writeFileSync(file, options.config);
  const program = Program.start(netns, ['haproxy', '-q', '-db', '-f', file]);
  await program.waitForPorts(netns, options.ports, START_MS);
  return program;
}

function globalPart(threads: number): string {
  return `global
  nbthread ${threads}
  maxconn ${CONNECTIONS_MAX}
  tune.bufsize ${BUFFER_BYTES}
  ssl-default-bind-ciphersuites ${CIPHERS}
  ssl-default-server-ciphersuites ${CIPHERS}
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
  ssl-default-bind-curves X25519
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
`;
}
