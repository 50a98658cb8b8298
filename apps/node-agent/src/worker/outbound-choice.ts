/**
 * Which way a captured connection goes, and which next when one was not answered.
 *
 * Rule: whoever was silent comes last, and is asked all the same before anybody is refused. What the mesh does not know any more is
 * never asked instead of what it knew.
 */
import type { MeshService, Workload } from '@ambit/model';
import { formatPlace } from '@ambit/proxy';
import {
  formatAuthority,
  type OutboundDecision,
  parseAuthority,
  resolveOutbound,
} from '@ambit/routing';

import type { Carried } from './carry.ts';
import { WorkerError } from './errors.ts';
import type { MeshState } from './mesh-state.ts';
import { behind, type Unanswered } from './unanswered.ts';

type Decision = OutboundDecision<Workload, MeshService>;
/** Of a connection that is not refused. */
export type Way = Exclude<Decision, { kind: 'refuse' }>;

export class OutboundChoice {
  readonly #mesh: MeshState;
  readonly #unanswered: Unanswered;

  constructor(mesh: MeshState, unanswered: Unanswered) {
    this.#mesh = mesh;
    this.#unanswered = unanswered;
  }

  /**
   * Whom it has asked itself comes last, and before them whoever was silent for others. Throws WORKER_UNROUTABLE where the mesh has no
   * way.
   */
  decide(carried: Carried, source: Workload, tried: ReadonlySet<string>): Way {
    if (tried.size === 0 && this.#unanswered.size === 0) {
      return this.#resolve(carried, source);
    }
    const quick = this.#resolve(carried, source, (uid) => {
      const isSilent = [uid, behind(uid, toOf(carried))].some((one) => this.#unanswered.has(one));
      return isSilent || tried.has(uid);
    });
    const isAgain = tried.has(chosenOf(quick)?.uid ?? '');
    return isAgain ? this.#resolve(carried, source, (uid) => tried.has(uid)) : quick;
  }

  hasOther(carried: Carried, source: Workload, tried: ReadonlySet<string>): boolean {
    try {
      const uid = chosenOf(this.decide(carried, source, tried))?.uid;
      return uid !== undefined && !tried.has(uid);
    } catch {
      // Nobody at all is left.
      return false;
    }
  }

  /** Whether the mesh still has who was meant. An address that it does not know any more is not asked: that were in clear. */
  leadsToTunnel(carried: Carried, source: Workload): boolean {
    try {
      return isTunnel(this.#resolve(carried, source));
    } catch {
      return false;
    }
  }

  #resolve(carried: Carried, source: Workload, isShunned?: (uid: string) => boolean): Way {
    const { address, port } = carried.original;
    const decision = resolveOutbound(
      {
        source,
        destinationIp: address,
        port,
        ...(isShunned && { isShunned: ({ uid }) => isShunned(uid) }),
      },
      this.#mesh.index,
      Math.random,
    );
    if (decision.kind === 'refuse') {
      throw new WorkerError('WORKER_UNROUTABLE', `${decision.code}: ${decision.text}`, {
        side: 'control-plane',
      });
    }
    return decision;
  }
}

/**
 * The authority of the tunnel, with the `address` that is dialled in place of a name that was looked up:
 * the agent there knows its workload by address. A waypoint is always told the original destination.
 */
export function authorityOf(
  {
    kind,
    dial,
    authority,
  }: Pick<Extract<Way, { authority: string }>, 'kind' | 'dial' | 'authority'>,
  address: string,
): string {
  const port = parseAuthority(authority)?.port;
  return kind === 'hbone' && dial.kind === 'dns' && port !== undefined
    ? formatAuthority(address, port)
    : authority;
}

export function isTunnel({ kind }: Way): boolean {
  return kind === 'hbone' || kind === 'waypoint';
}

/** Where the client was going. */
export function toOf({ original }: Carried): string {
  return formatPlace(original);
}

/** Who is at the other end of the tunnel. */
export function endpointOf(decision: Extract<Way, { authority: string }>): Workload | undefined {
  return decision.kind === 'waypoint' ? decision.waypoint : decision.workload;
}

/** Undefined where nobody else could be asked. */
export function chosenOf(decision: Way): Workload | undefined {
  switch (decision.kind) {
    case 'waypoint':
      return decision.waypoint;
    case 'hbone':
    case 'plain':
      return decision.service === undefined ? undefined : decision.workload;
    case 'passthrough':
      return undefined;
  }
}
