/** What every HTTP peer is asked to be: one worker, the same ports, the same rules, the same upstream. */

import type { Netns } from '@ambit/netns';
import type { Program } from '../measure/program.ts';
import type { TlsFiles } from './tls-files.ts';

export const PEER_PORTS = {
  http1: 8080,
  /** HTTP/2 with prior knowledge. */
  http2: 8081,
  /** Client certificate required; `h2` or HTTP/1.1 by ALPN. */
  tls: 8443,
} as const;

export interface HttpUpstream {
  readonly address: string;
  readonly port: number;
  /** With a client certificate; the server's is checked against the CA. */
  readonly isTls: boolean;
}

export interface HttpPeerOptions {
  readonly netns: Netns;
  /** For its configuration and whatever it writes. */
  readonly folder: string;
  readonly tls: TlsFiles;
  readonly upstream: HttpUpstream;
}

export interface HttpPeer {
  readonly name: string;
  readonly title: string;
  readonly version: string;
  /** Resolves when it listens on all of `PEER_PORTS`. */
  start(options: HttpPeerOptions): Promise<Program>;
}
