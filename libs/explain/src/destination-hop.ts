/** The last hop: the agent in front of the destination, or nobody where it is not captured. */
import type { Workload } from '@ambit/model';
import { evaluate } from '@ambit/policy';
import { formatAuthority, resolveInbound, resolveInboundPlaintext } from '@ambit/routing';
import { type Caller, callerIdentity, connectionAttributes } from './caller.ts';
import {
  describeWorkload,
  ends,
  endsRefused,
  type HopHead,
  note,
  pass,
  references,
} from './hop-parts.ts';
import type { ExplainMesh } from './mesh.ts';
import { describeDecision } from './policy-steps.ts';
import type { Hop } from './types.ts';

export interface TunnelArrival {
  readonly local: Workload;
  readonly authority: string;
  readonly ip: string;
  /** Whoever holds the other end of the tunnel: the client's agent speaks for its pod. */
  readonly peer: Caller;
  /** Who really calls, where the peer is a waypoint. */
  readonly behalfOf?: Caller;
  /** What the client sees when it is refused. */
  readonly refusalText?: string;
}

/** Through a tunnel, into the agent of a captured pod. */
export function tunnelArrives(arrival: TunnelArrival, mesh: ExplainMesh): Hop {
  const { local, authority, ip, peer, behalfOf } = arrival;
  const peerIdentity = callerIdentity(peer) ?? '';
  const decision = resolveInbound({ local, localIp: ip, authority, peerIdentity }, mesh.index);
  const head: HopHead = {
    place: 'destination',
    title: `agent of ${describeWorkload(local)}`,
    steps: [note(`tunnel to ${authority} from ${peerIdentity}`)],
  };
  if (decision.kind === 'refuse') {
    const { status, text } = decision;
    return endsRefused(head, { text, status, objects: references(decision.because) });
  }
  const at = formatAuthority(decision.ip, decision.port);
  const who = callerIdentity(behalfOf ?? peer) ?? 'a caller without identity';
  const end = { outcome: 'arrives', text: `reaches ${at}, called by ${who}` } as const;
  if (decision.isPolicyDecided) {
    const step = pass('policy: decided by the waypoint, for the real caller');
    return ends({ ...head, steps: [...head.steps, step] }, end);
  }
  const isHidden = behalfOf !== undefined;
  return decidePolicy({ head, local, caller: peer, isHidden, to: decision, end }, mesh);
}

export interface PlainArrival {
  readonly local: Workload;
  readonly ip: string;
  readonly port: number;
  readonly caller: Caller;
}

/** Without a tunnel: into the agent of a captured pod as plaintext, or straight into the application. */
export function plaintextArrives(arrival: PlainArrival, mesh: ExplainMesh): Hop {
  const { local, ip, port, caller } = arrival;
  if (local.tunnelProtocol === 'NONE') {
    const steps = [note(`${mesh.whyPlain(local)}: nothing is encrypted, no policy is enforced`)];
    const head: HopHead = { place: 'destination', title: describeWorkload(local), steps };
    return ends(head, { outcome: 'arrives', text: `reaches ${formatAuthority(ip, port)}` });
  }
  const head: HopHead = {
    place: 'destination',
    title: `agent of ${describeWorkload(local)}`,
    steps: [note(`plaintext from ${caller.ip}, without identity`)],
  };
  const decision = resolveInboundPlaintext({ local, destinationIp: ip, port });
  if (decision.kind === 'refuse') {
    return endsRefused(head, { text: decision.text, objects: references(decision.because) });
  }
  const end = { outcome: 'arrives', text: `reaches ${formatAuthority(ip, port)}` } as const;
  const known = { ip: caller.ip };
  return decidePolicy({ head, local, caller: known, isHidden: false, to: decision, end }, mesh);
}

function decidePolicy(
  question: {
    readonly head: HopHead;
    readonly local: Workload;
    readonly caller: Caller;
    /** The caller is a waypoint, and speaks for another. */
    readonly isHidden: boolean;
    readonly to: { readonly ip: string; readonly port: number };
    readonly end: { readonly outcome: 'arrives'; readonly text: string };
  },
  mesh: ExplainMesh,
): Hop {
  const { head, local, caller, isHidden, to, end } = question;
  const selection = mesh.policies.select({
    namespace: local.namespace,
    names: local.authorizationPolicies,
  });
  const input = { connection: connectionAttributes(caller, to) };
  const verdict = evaluate(selection.policies, input, { missing: selection.missing });
  const answer = describeDecision({ verdict, set: selection, input });
  // Where there is policy, a waypoint of this mesh has decided it.
  const hidden =
    isHidden && selection.policies.length > 0
      ? [
          note(
            `policy: the caller here is the waypoint, which decides nothing for this mesh, whoever calls through it`,
          ),
        ]
      : [];
  const decided = { ...head, steps: [...head.steps, ...hidden, ...answer.steps] };
  return answer.verdict.allowed ? ends(decided, end) : endsRefused(decided, answer.refusal);
}
