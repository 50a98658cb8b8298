/** Sessions in memory: ours on one side, a raw peer or another of ours on the other. */
import type { MeshError } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import { connPair } from '@ambit/proxy/testing';
import { ClientSession } from '../session/client-session.ts';
import { newH2Counters } from '../session/counters.ts';
import { type H2Limits, MESH_LIMITS } from '../session/limits.ts';
import type { KeepAlive } from '../session/pings.ts';
import type { PeerConduct } from '../session/probation.ts';
import { ServerSession } from '../session/server-session.ts';
import type { ServerStream } from '../session/server-stream.ts';
import type { WindowGrowth } from '../session/window-growth.ts';
import { RawPeer } from './raw-peer.ts';

export interface RigOptions {
  readonly limits?: Partial<H2Limits>;
  readonly keepAlive?: KeepAlive;
  readonly onStream?: (stream: ServerStream) => void;
  /** Of several sessions. */
  readonly clock?: FakeClock;
  readonly conduct?: PeerConduct;
  readonly growth?: WindowGrowth;
}

/** What is the same whichever side is ours. */
function parts(options: RigOptions) {
  const clock = options.clock ?? new FakeClock();
  const counters = newH2Counters();
  const closed: (MeshError | undefined)[] = [];
  const [ours, theirs] = connPair();
  return {
    clock,
    counters,
    closed,
    theirs,
    session: {
      transport: ours,
      clock,
      limits: { ...MESH_LIMITS, ...options.limits },
      counters,
      ...(options.conduct === undefined ? {} : { conduct: options.conduct }),
      ...(options.growth === undefined ? {} : { growth: options.growth }),
      ...(options.keepAlive === undefined ? {} : { keepAlive: options.keepAlive }),
      onClose: (error: MeshError | undefined) => void closed.push(error),
    },
  };
}

/** A server of ours and a client that speaks in frames. `streams`: what was asked. */
export function serverRig(options: RigOptions = {}) {
  const { session: common, theirs, ...rest } = parts(options);
  const streams: ServerStream[] = [];
  const session = new ServerSession({
    ...common,
    onStream: (stream) => {
      streams.push(stream);
      options.onStream?.(stream);
    },
  });
  return { ...rest, session, streams, peer: new RawPeer(theirs, 'client') };
}

export function clientRig(options: RigOptions = {}) {
  const { session: common, theirs, ...rest } = parts(options);
  return { ...rest, session: new ClientSession(common), peer: new RawPeer(theirs, 'server') };
}

/** Both ends ours. */
export function pairRig(options: RigOptions = {}) {
  const { session: common, theirs, ...rest } = parts(options);
  const streams: ServerStream[] = [];
  const server = new ServerSession({
    ...common,
    transport: theirs,
    onStream: (stream) => {
      streams.push(stream);
      options.onStream?.(stream);
    },
  });
  return { ...rest, server, streams, client: new ClientSession(common) };
}
