/**
 * The open sessions of one server, and what is asked about their peers again while they last.
 *
 * Rule: a session is worth what would be said of its peer in a handshake now. Who is revoked is cut off. Whose root has left may be
 * anybody who had that root's key, or a peer that the rotation found with long connections: nothing new is taken from it, and what is
 * open has its time to end.
 */
import type { Clock } from '@ambit/core';
import type { Revocations } from '@ambit/identity';

import { refusedPeer } from './errors.ts';
import type { HboneServerCounters } from './server-counters.ts';
import type { ServerSession } from './server-session.ts';
import { endOf, type KnownPeer, type Trust } from './trust.ts';

/** Whose a session is, and the bundle by which that was last asked. */
export interface Admitted {
  readonly peer: KnownPeer;
  readonly rootsPem: string;
}

export class ServerSessions {
  readonly #clock: Clock;
  readonly #counters: HboneServerCounters;
  readonly #open = new Map<ServerSession, Admitted>();

  constructor(clock: Clock, counters: HboneServerCounters) {
    this.#clock = clock;
    this.#counters = counters;
  }

  get size(): number {
    return this.#open.size;
  }

  add(session: ServerSession, admitted: Admitted): void {
    this.#open.set(session, admitted);
  }

  delete(session: ServerSession): void {
    this.#open.delete(session);
  }

  async drain(): Promise<void> {
    await Promise.all([...this.#open.keys()].map(async (session) => await session.drain()));
  }

  destroy(): void {
    for (const session of [...this.#open.keys()]) {
      session.destroy();
    }
  }

  /** Ends those of clients that the lists name, with all that they carry. */
  recheckRevoked(revocations: Revocations | undefined): void {
    for (const [session, { peer }] of [...this.#open]) {
      const problem = endOf(peer, revocations, this.#clock.wallNow());
      if (problem !== undefined) {
        this.#counters.endedByRecheck += 1;
        this.#counters.refusedPeers[problem.kind] += 1;
        const why = `the certificate of ${peer.identity.uri}: ${problem.reason}`;
        session.destroy(refusedPeer('client', problem.kind, why));
      }
    }
  }

  /** Takes nothing new from clients that none of these roots vouches for. Answers how many such there are that were not before. */
  recheckRoots(trust: Trust): number {
    const { rootsPem } = trust.identity;
    let found = 0;
    for (const [session, admitted] of [...this.#open]) {
      if (admitted.rootsPem !== rootsPem) {
        this.#open.set(session, { ...admitted, rootsPem });
        found += this.#isLost(session, admitted.peer, trust) ? 1 : 0;
      }
    }
    this.#counters.distrusted += found;
    this.#counters.refusedPeers.chain += found;
    return found;
  }

  /** True: as of now. */
  #isLost(session: ServerSession, peer: KnownPeer, trust: Trust): boolean {
    if (trust.vouchesFor(peer, this.#clock.wallNow())) {
      session.trust();
      return false;
    }
    const why = `the certificate of ${peer.identity.uri} leads to no root that is trusted now`;
    return session.distrust(refusedPeer('client', 'chain', why));
  }
}
