/**
 * The open sessions of one server, who has to leave when there are too many, and what is asked about their peers again while they last.
 *
 * Rule: a session is worth what would be said of its peer in a handshake now. Who is revoked is cut off. Whose root has left may be
 * anybody who had that root's key, or a peer that the rotation found with long connections: nothing new is taken from it, and what is
 * open has its time to end.
 */
import type { Clock } from '@ambit/core';
import type { Revocations } from '@ambit/identity';

import { refusedPeer, sessionLimit } from './errors.ts';
import { endedWith } from './outlived.ts';
import type { HboneServerCounters } from './server-counters.ts';
import type { ServerSession } from './server-session.ts';
import { type Held, leaverFor } from './session-shares.ts';
import type { TlsIdentity } from './tls.ts';
import { endOf, type KnownPeer, type Trust } from './trust.ts';

/** Of as many as there may be; with one more, the first that carries nothing is cut: if need be, that one. */
const LEAVING_SHARE = 1 / 16;

/** Whose a session is, the bundle by which that was last asked, and what of ours it was made with. */
export interface Admitted {
  readonly peer: KnownPeer;
  /** The peer's. */
  readonly address: string;
  readonly rootsPem: string;
  readonly own: TlsIdentity;
}

export interface ServerSessionsOptions {
  readonly clock: Clock;
  readonly counters: HboneServerCounters;
  readonly max: number;
  /** What the next one would be made with. Throws when there is nothing. */
  readonly identity: () => TlsIdentity;
}

export class ServerSessions {
  readonly #clock: Clock;
  readonly #counters: HboneServerCounters;
  readonly #max: number;
  readonly #identity: () => TlsIdentity;
  readonly #open = new Map<ServerSession, Admitted>();
  /** Of those, the ones whose place is another's. */
  readonly #leaving = new Set<ServerSession>();

  constructor({ clock, counters, max, identity }: ServerSessionsOptions) {
    this.#clock = clock;
    this.#counters = counters;
    this.#max = max;
    this.#identity = identity;
  }

  /** Those that leave included. */
  get size(): number {
    return this.#open.size;
  }

  add(session: ServerSession, admitted: Admitted): void {
    this.#open.set(session, admitted);
  }

  delete(session: ServerSession): void {
    const admitted = this.#open.get(session);
    this.#open.delete(session);
    this.#leaving.delete(session);
    if (admitted !== undefined) {
      endedWith(admitted.own, this.#current(), this.#clock);
    }
  }

  /** Whether there is a place for a session of this peer, from where another may have to leave. */
  makeRoom({ peer, address }: Admitted): boolean {
    if (this.#open.size - this.#leaving.size < this.#max) {
      return true;
    }
    const leaver = leaverFor({ identity: peer.identity.uri, address }, this.#held());
    if (leaver === undefined) {
      return false;
    }
    this.#displace(leaver.session, leaver.openStreams > 0);
    return true;
  }

  async drain(): Promise<void> {
    await Promise.all([...this.#open.keys()].map(async (session) => await session.drain()));
  }

  destroy(): void {
    for (const session of [...this.#open.keys()]) {
      session.destroy();
    }
  }

  *#held(): Generator<Held & { readonly session: ServerSession }> {
    for (const [session, { peer, address }] of this.#open) {
      if (!this.#leaving.has(session)) {
        const { openStreams, idleSinceMs } = session;
        yield { session, identity: peer.identity.uri, address, openStreams, idleSinceMs };
      }
    }
  }

  #displace(session: ServerSession, isInUse: boolean): void {
    this.#counters.displaced += 1;
    this.#leaving.add(session);
    const reason = sessionLimit('a peer with fewer sessions has its place', 'downstream');
    if (isInUse) {
      session.destroy(reason);
      return;
    }
    // What the peer has sent already is served. It may take its time, or never answer.
    void session.drain();
    if (this.#leaving.size > Math.max(1, this.#max * LEAVING_SHARE)) {
      this.#leavingWithoutStreams()?.destroy(reason);
    }
  }

  /** The first. There is one: whoever began to leave last has had no time for any. */
  #leavingWithoutStreams(): ServerSession | undefined {
    for (const session of this.#leaving) {
      if (session.openStreams === 0) {
        return session;
      }
    }
    return undefined;
  }

  #current(): TlsIdentity | undefined {
    try {
      return this.#identity();
    } catch {
      // Without one there is none in use.
      return undefined;
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
