/**
 * Who has to leave when all sessions of a server are taken and somebody comes.
 *
 * Rule: places go from an identity with more to one with less, and within one identity from an address with more to one with less; who
 * would have as many afterwards as the other leaves it alone, so that no place goes to and fro. An idle session goes first: its peer
 * makes another. One in use goes only for want of those, and only of an identity that has more than its fair share of all, or within one
 * identity of an address with more than its fair share of that: so who has less than the share gets a place, in use or not, whatever
 * others hold, unless each of them has no more than a 256th of all, and that in use: 256 such identities leave none to another. Identities
 * count before addresses, of which one identity may have as many as it likes.
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

/** Of all sessions, what anybody may have in use and lose none of, however many there are to share with. */
const UNTOUCHED_SHARE = 1 / 256;

/** How many sessions there are of the one, and of the peer. */
interface Share {
  all: number;
  readonly ofAddress: Map<string, number>;
}

type Candidate<T> = { readonly held: T; readonly ofIdentity: number; readonly ofPeer: number };

/** The one of `sessions`, which are all that there may be, that leaves for the newcomer; undefined: it is the newcomer who goes. */
export function leaverFor<T extends Held>(newcomer: Holder, sessions: Iterable<T>): T | undefined {
  const all = [...sessions];
  const shares = sharesOf(all);
  const own = countsOf(shares, newcomer);
  const untouched = all.length * UNTOUCHED_SHARE;
  const fairOfAll = Math.max(untouched, all.length / withOneMore(shares, newcomer.identity));
  const ownAddresses = shares.get(newcomer.identity)?.ofAddress ?? new Map<string, number>();
  const fairOfOwn = Math.max(
    untouched,
    own.ofIdentity / withOneMore(ownAddresses, newcomer.address),
  );
  let idle: Candidate<T> | undefined;
  let inUse: Candidate<T> | undefined;
  for (const held of all) {
    const counts = countsOf(shares, held);
    const isOwn = held.identity === newcomer.identity;
    const [has, mine, fair] = isOwn
      ? [counts.ofPeer, own.ofPeer, fairOfOwn]
      : [counts.ofIdentity, own.ofIdentity, fairOfAll];
    if (has <= mine + 1) {
      continue;
    }
    const candidate = { held, ...counts };
    if (held.openStreams === 0) {
      idle = idle === undefined || goesBefore(candidate, idle) ? candidate : idle;
    } else if (has > fair) {
      inUse = inUse === undefined || isCutBefore(candidate, inUse) ? candidate : inUse;
    }
  }
  return (idle ?? inUse)?.held;
}

/** Among how many it is shared when `key` comes, if it is not there yet. */
function withOneMore(parts: ReadonlyMap<string, unknown>, key: string): number {
  return parts.size + (parts.has(key) ? 0 : 1);
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
  return (
    (other.ofIdentity - one.ofIdentity ||
      other.ofPeer - one.ofPeer ||
      one.held.openStreams - other.held.openStreams) <= 0
  );
}
