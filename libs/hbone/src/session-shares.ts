/**
 * Who has to leave when all sessions of a server are taken and somebody comes.
 *
 * Rule: places go from an identity with more to one with less, and within one identity from an address with more to one with less; who
 * would have as many afterwards as the other leaves it alone, so that no place goes to and fro. An idle session goes first: its peer
 * makes another. One in use goes only for want of those, and only of a peer (an identity at an address) with an eighth of all: our agents,
 * and the reference's, fill a session before they open the next, and have fewer with all the connections that a pod takes.
 */

export interface Holder {
  readonly identity: string;
  readonly address: string;
}

export interface Held extends Holder {
  readonly openStreams: number;
  /** When it has none: since when. */
  readonly idleSinceMs: number;
}

/** Of all sessions, what one peer has who may lose one in use. */
const IN_USE_SHARE = 1 / 8;

/** How many sessions there are of the one, and of the peer. */
interface Share {
  all: number;
  readonly ofAddress: Map<string, number>;
}

type Candidate<T> = { readonly held: T; readonly ofIdentity: number; readonly ofPeer: number };

/** The one of `sessions`, of which there may be `max`, that leaves for the newcomer; undefined: it is the newcomer who goes. */
export function leaverFor<T extends Held>(
  newcomer: Holder,
  sessions: Iterable<T>,
  max: number,
): T | undefined {
  const all = [...sessions];
  const shares = sharesOf(all);
  const own = countsOf(shares, newcomer);
  let idle: Candidate<T> | undefined;
  let inUse: Candidate<T> | undefined;
  for (const held of all) {
    const counts = countsOf(shares, held);
    const hasMore =
      held.identity === newcomer.identity
        ? counts.ofPeer > own.ofPeer + 1
        : counts.ofIdentity > own.ofIdentity + 1;
    if (!hasMore) {
      continue;
    }
    const candidate = { held, ...counts };
    if (held.openStreams === 0) {
      idle = idle === undefined || goesBefore(candidate, idle) ? candidate : idle;
    } else if (counts.ofPeer > max * IN_USE_SHARE) {
      inUse = inUse === undefined || isCutBefore(candidate, inUse) ? candidate : inUse;
    }
  }
  return (idle ?? inUse)?.held;
}

function sharesOf(sessions: readonly Held[]): ReadonlyMap<string, Share> {
  const shares = new Map<string, Share>();
  for (const { identity, address } of sessions) {
    let share = shares.get(identity);
    if (share === undefined) {
      share = { all: 0, ofAddress: new Map() };
      shares.set(identity, share);
    }
    share.all += 1;
    share.ofAddress.set(address, (share.ofAddress.get(address) ?? 0) + 1);
  }
  return shares;
}

function countsOf(shares: ReadonlyMap<string, Share>, { identity, address }: Holder) {
  const share = shares.get(identity);
  return { ofIdentity: share?.all ?? 0, ofPeer: share?.ofAddress.get(address) ?? 0 };
}

/** Of whoever has most, the one that is idle for longest. */
function goesBefore(one: Candidate<Held>, other: Candidate<Held>): boolean {
  return (
    (other.ofIdentity - one.ofIdentity ||
      other.ofPeer - one.ofPeer ||
      one.held.idleSinceMs - other.held.idleSinceMs) < 0
  );
}

/** Of whoever has most, the one with fewest streams, and of these the youngest, which comes last. */
function isCutBefore(one: Candidate<Held>, other: Candidate<Held>): boolean {
  return (other.ofPeer - one.ofPeer || one.held.openStreams - other.held.openStreams) <= 0;
}
