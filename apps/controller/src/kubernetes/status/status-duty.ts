/**
 * Writes what the controller says of objects into the objects: `Accepted`, `Enforced` and the others, in the shape of each kind.
 *
 * What to write is computed when its turn comes, from what is known then; a change only says that there may be something.
 */
import type { ObjectKey } from '@ambit/api';
import {
  type GroupVersionResource,
  type KubeObject,
  type ObjectRef,
  type Status,
  StatusWriter,
} from '@ambit/kube';
import type { ObjectStatus } from '@ambit/model';

import type { KubernetesContext } from '../context.ts';
import { LeaderDuty, untilAborted } from '../leader-duty.ts';
import { boundServices } from './bound-services.ts';
import { gatewayApiStatusOf } from './gateway-status.ts';
import {
  isBoundElsewhere,
  istioStatus,
  mergedConditions,
  WAYPOINT_BOUND,
  wantedConditions,
  waypointBound,
} from './own-conditions.ts';
import { type WaypointParts, withParts } from './waypoint-stanza.ts';

/** Proxies answer one after another; what they said in this time is one status. */
const GATHER_MS = 500;
/** Of the pass over everything so many wait at a time: what changes meanwhile must not stand behind it. */
const BACKGROUND_MAX = 20;
const GATEWAY_GROUP = 'gateway.networking.k8s.io';
const MESH_GROUPS = /(?:^|\.)(?:istio|ambit)\.io$/;

/** An object as the cluster has it. */
export interface StatusTarget {
  readonly gvr: GroupVersionResource;
  readonly ref: ObjectRef;
  readonly uid?: string;
  /** Of the version that was judged last, also if it was refused. */
  readonly generation?: number;
}

export interface StatusDutyOptions {
  readonly context: KubernetesContext;
  readonly book: {
    readonly of: (key: ObjectKey) => ObjectStatus | undefined;
    readonly all: () => readonly ObjectStatus[];
  };
  /** Undefined for what is not in the cluster. */
  readonly objectOf: (key: ObjectKey) => StatusTarget | undefined;
  /** What is known of the parts of a waypoint (`namespace/name`); `changed` has to be told of its Gateway when that changes. */
  readonly waypointOf?: (waypoint: string) => WaypointParts | undefined;
  /** Default 20. */
  readonly perSecond?: number;
}

interface Term {
  readonly signal: AbortSignal;
  readonly writer: StatusWriter;
  readonly pending: Set<ObjectKey>;
  /** Of the pass over everything. */
  readonly background: Set<ObjectKey>;
  isFlushing: boolean;
}

export class StatusDuty extends LeaderDuty {
  readonly #options: StatusDutyOptions;
  #term: Term | undefined;

  constructor(options: StatusDutyOptions) {
    super();
    this.#options = options;
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    const { context, book, perSecond } = this.#options;
    const { client, clock, metrics } = context;
    const log = context.log.scoped('status');
    const writer = new StatusWriter({
      client,
      clock,
      metrics,
      mayWrite: () => !signal.aborted,
      onFailure: (key, error, failures) => {
        if (failures === 1) log.warn('a status cannot be written', { key, error });
      },
      ...(perSecond === undefined ? {} : { perSecond }),
    });
    const term: Term = {
      signal,
      writer,
      pending: new Set(),
      background: new Set(),
      isFlushing: false,
    };
    this.#term = term;
    writer.start();
    const bound = boundServices(context, signal).then(
      (keys) => this.#add(term, 'background', keys),
      (error: unknown) => log.warn('services cannot be read', { error }),
    );
    const all = book.all().map(({ key }) => key);
    this.#add(term, 'background', all);
    await untilAborted(signal);
    this.#term = undefined;
    await writer.stop();
    await bound;
  }

  /** Their status may be another than before. Nothing to do for who does not lead: each term begins with all. */
  changed(keys: Iterable<ObjectKey>): void {
    if (this.#term !== undefined) this.#add(this.#term, 'pending', keys);
  }

  #add(term: Term, where: 'background' | 'pending', keys: Iterable<ObjectKey>): void {
    if (term.signal.aborted) return;
    for (const key of keys) term[where].add(key);
    if (term.isFlushing || term.pending.size + term.background.size === 0) return;
    term.isFlushing = true;
    void this.#flush(term);
  }

  async #flush(term: Term): Promise<void> {
    const { clock } = this.#options.context;
    const { pending, background, writer } = term;
    while (pending.size + background.size > 0) {
      try {
        await clock.sleep(GATHER_MS, term.signal);
      } catch {
        // The term is over; whoever leads next begins with all.
        return;
      }
      for (const key of [...pending]) if (this.#offer(term, key)) pending.delete(key);
      for (const key of [...background]) {
        if (writer.depth >= BACKGROUND_MAX || !this.#offer(term, key)) break;
        background.delete(key);
      }
    }
    term.isFlushing = false;
  }

  /** False if it has to be tried again later. */
  #offer({ writer }: Term, key: ObjectKey): boolean {
    const target = this.#options.objectOf(key);
    if (target === undefined || !isWritten(target)) return true;
    const { gvr, ref, uid } = target;
    return writer.write({
      gvr,
      ref,
      ...(uid === undefined ? {} : { uid }),
      compute: (current, object) => this.#compute(key, current, object),
    });
  }

  #compute(key: ObjectKey, current: Status, object: KubeObject): Status | undefined {
    const { book, objectOf, context } = this.#options;
    const wallNowMs = context.clock.wallNow();
    const target = objectOf(key);
    if (target === undefined) return undefined;
    const status = book.of(key);
    const wanted = status === undefined ? [] : wantedConditions(status, target.generation);
    if (target.gvr.group === GATEWAY_GROUP) {
      const stanza = this.#stanzaOf(key, status);
      return gatewayApiStatusOf({ current, stanza, wanted, spec: object['spec'], wallNowMs });
    }
    const bound = status === undefined ? undefined : waypointBound(status);
    const ofService = bound === undefined ? [] : [bound];
    if (target.gvr.group === '') {
      if (status !== undefined && isBoundElsewhere(status)) return undefined;
      const options = { wallNowMs, ownTypes: [WAYPOINT_BOUND] };
      const conditions = mergedConditions(current['conditions'], ofService, options);
      return conditions === undefined ? undefined : { ...current, conditions };
    }
    return target.gvr.resource === 'serviceentries'
      ? istioStatus(current, [...wanted, ...ofService], { wallNowMs })
      : istioStatus(current, wanted, { wallNowMs });
  }

  #stanzaOf(key: ObjectKey, status: ObjectStatus | undefined): ObjectStatus['gatewayApi'] {
    const stanza = status?.gatewayApi;
    if (stanza?.kind !== 'gateway') return stanza;
    const parts = this.#options.waypointOf?.(key.slice(key.indexOf('/') + 1));
    return { ...stanza, gateway: withParts(stanza.gateway, parts) };
  }
}

/** Of pods, nodes and namespaces others are the only writers. */
function isWritten({ gvr }: StatusTarget): boolean {
  const { group, resource } = gvr;
  return (
    (group === '' && resource === 'services') || group === GATEWAY_GROUP || MESH_GROUPS.test(group)
  );
}
