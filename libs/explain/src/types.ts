/**
 * An explanation as data: hop by hop what is decided, why, and by which objects.
 *
 * A hop ends, or goes on in branches where weights or several endpoints make it differ. Everything here
 * survives JSON; text for people is made by `renderExplanation`.
 */
import type { ObjectKey } from '@ambit/api';
import type { PhaseName } from '@ambit/routing';

export interface ExplainQuery {
  /**
   * `NAMESPACE/NAME` or `NAME` of a pod, its Deployment or its service account; an address; or
   * `outside`, a client without the mesh.
   */
  readonly source: string;
  /** A service (`reviews`, `reviews.shop`, a host name), a pod (`NAMESPACE/NAME`) or an address. */
  readonly destination: string;
  /** Absent: the only port of the service. */
  readonly port?: number;
  /** For names without one. Absent: `default`, or the only one that has such a source. */
  readonly namespace?: string;
  /** Any of the three makes it an HTTP request; otherwise the protocol of the port decides. */
  readonly method?: string;
  /** With its query. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** `pass`: this allows. `miss`: this could have allowed and did not. `note`: this changes or says something. */
export interface Step {
  readonly outcome: 'pass' | 'miss' | 'note';
  readonly text: string;
  readonly objects: readonly ObjectReference[];
  /** Of a request at a waypoint. Connections have none, nor do agents. */
  readonly phase?: PhaseName;
}

export interface ObjectReference {
  readonly key: ObjectKey;
  /** Where in it: `spec.rules[0]`. */
  readonly path?: string;
}

export type HopPlace =
  /** The pod, its names, and the agent that captures what it sends. */
  | 'client'
  | 'waypoint'
  /** The agent in front of the destination. */
  | 'destination'
  | 'outside';

/** How it ends. `answered`: by a proxy, as a rule says (redirect, direct response). */
export interface End {
  readonly outcome: 'arrives' | 'answered' | 'refused';
  readonly text: string;
  /** What the client gets, where it is HTTP. */
  readonly status?: number;
  /** Flag of the access log. */
  readonly flag?: string;
  /** Of a waypoint: which one goes no further, `phase` of its access log. */
  readonly phase?: PhaseName;
  /** The objects responsible. */
  readonly objects: readonly ObjectReference[];
}

export interface Hop {
  readonly place: HopPlace;
  readonly title: string;
  readonly steps: readonly Step[];
  /** Exactly one of `end` and a non-empty `next`. */
  readonly end?: End;
  readonly next: readonly Branch[];
}

export interface Branch {
  /** `80 %`, `each of 2 endpoints`; empty where there is only one way. */
  readonly label: string;
  readonly hop: Hop;
}

export interface Explanation {
  readonly source: string;
  readonly destination: string;
  readonly hop: Hop;
  /** `depends`: some ways end well and others do not. */
  readonly verdict: 'allowed' | 'refused' | 'depends';
  readonly text: string;
}
