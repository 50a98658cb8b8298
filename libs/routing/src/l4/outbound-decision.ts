/** Everything that can become of a captured connection. */
import type { ViewService, ViewWorkload } from '../mesh-view.ts';
import type { DialTarget } from './dial-target.ts';

export type OutboundRefusalCode =
  | 'ROUTING_ILLEGAL_PORT'
  | 'ROUTING_WAYPOINT_UNKNOWN'
  | 'ROUTING_WAYPOINT_NOT_READY'
  | 'ROUTING_PORT_UNKNOWN'
  | 'ROUTING_NO_ENDPOINT'
  | 'ROUTING_NO_ADDRESS'
  | 'ROUTING_OTHER_NETWORK';

export type OutboundDecision<
  W extends ViewWorkload = ViewWorkload,
  S extends ViewService = ViewService,
> =
  /** Not of the mesh (or a PASSTHROUGH service): plain TCP to where it was going. */
  | { readonly kind: 'passthrough'; readonly dial: DialTarget; readonly service?: S }
  /** A known workload that is not captured: plain TCP. */
  | {
      readonly kind: 'plain';
      readonly dial: DialTarget;
      readonly workload: W;
      readonly service?: S;
    }
  /** A tunnel to the workload's own agent. */
  | {
      readonly kind: 'hbone';
      readonly dial: DialTarget;
      readonly authority: string;
      /** SPIFFE ids, any of which the peer may present. Never empty. */
      readonly expectedIdentities: readonly string[];
      readonly workload: W;
      readonly service?: S;
    }
  /** A tunnel to a waypoint; `authority` is the original destination, untouched. */
  | {
      readonly kind: 'waypoint';
      readonly dial: DialTarget;
      readonly authority: string;
      readonly expectedIdentities: readonly string[];
      readonly waypoint: W;
      /** What was addressed: exactly one of the two. */
      readonly service?: S;
      readonly workload?: W;
    }
  | {
      readonly kind: 'refuse';
      readonly code: OutboundRefusalCode;
      /** Lower case, no full stop, for the log and for people. */
      readonly text: string;
      readonly service?: S;
      readonly workload?: W;
    };
