/** A snapshot opened for questions: the same indexes that agents and waypoints hold. */
import type { ObjectKey } from '@ambit/api';
import {
  type DecodedSnapshot,
  type GatewayAddress,
  MeshIndex,
  type MeshService,
  type WaypointReference,
  WaypointView,
  type Workload,
} from '@ambit/model';
import { PolicyIndex } from '@ambit/policy';
import { serviceKey } from '@ambit/routing';

/** Of a waypoint that no object gives another class. */
const WAYPOINT_CLASS = 'istio-waypoint';
const NOT_CAPTURED_YET = 'enrolled, but no agent has captured it yet';

export class ExplainMesh {
  readonly index: MeshIndex;
  readonly policies = new PolicyIndex();
  readonly clusterDomain: string;
  readonly trustDomain: string;
  readonly #snapshot: DecodedSnapshot;
  readonly #views = new Map<string, WaypointView>();

  constructor(snapshot: DecodedSnapshot) {
    const { context, outputs } = snapshot;
    this.#snapshot = snapshot;
    this.clusterDomain = context.clusterDomain;
    this.trustDomain = context.trustDomain;
    this.index = new MeshIndex({ network: context.network });
    this.index.apply({ changed: outputs.addresses.values(), removed: [] });
    this.policies.apply(outputs.authorizations.values());
  }

  /** As the waypoint `namespace/name` sees its scope. */
  waypoint({ key, className }: Pick<WaypointReference, 'key' | 'className'>): WaypointView {
    const [namespace = '', name = ''] = key.split('/');
    const known = this.#views.get(key);
    if (known !== undefined) return known;
    const { context, outputs } = this.#snapshot;
    const view = new WaypointView(this.index, {
      namespace,
      name,
      className,
      trustDomain: context.trustDomain,
      rootNamespace: context.rootNamespace,
      clusterDomain: context.clusterDomain,
    });
    const scope = [...(outputs.scopes.get(key) ?? [])];
    view.apply({ changed: scope.flatMap((id) => outputs.objects.get(id) ?? []), removed: [] });
    this.#views.set(key, view);
    return view;
  }

  /** Why a workload's traffic is not captured, as its namespace and its own labels say. */
  whyNotCaptured({ namespace, name }: Pick<Workload, 'namespace' | 'name'>): string {
    const { mode, isException, because } = this.#modeOf(namespace, name);
    if (mode === 'ambient') return NOT_CAPTURED_YET;
    if (isException) return `left out of the mesh: ${because ?? 'by its own labels or kind'}`;
    const bypass = this.#bypassOf(namespace);
    if (bypass !== undefined) return `not captured: namespace ${namespace} is bypassed, ${bypass}`;
    return `not captured: namespace ${namespace} is not enrolled (label istio.io/dataplane-mode=ambient)`;
  }

  /** Who let a namespace out of the mesh for a time, why and until when. */
  #bypassOf(namespace: string): string | undefined {
    const { conditions = [] } = this.#snapshot.outputs.statuses.get(`Namespace/${namespace}`) ?? {};
    return conditions.find(({ type, status }) => type === 'Bypassed' && status === 'True')?.message;
  }

  /** Why a destination takes clear text: a pod may be enrolled and still have nobody before it. */
  whyPlain({ uid, namespace, name }: Pick<Workload, 'uid' | 'namespace' | 'name'>): string {
    const isPod = uid.includes('//Pod/');
    const isWaiting = isPod && this.#modeOf(namespace, name).mode === 'ambient';
    return isWaiting ? `it is ${NOT_CAPTURED_YET}` : 'it is not in the mesh';
  }

  #modeOf(
    namespace: string,
    name: string,
  ): {
    readonly mode: 'ambient' | 'none';
    readonly isException: boolean;
    readonly because: string | undefined;
  } {
    const enrolment = this.#snapshot.outputs.enrolments.get(namespace);
    const exception = enrolment?.exceptions.find(({ pod }) => pod === name);
    const mode = exception?.mode ?? enrolment?.mode ?? 'none';
    return { mode, isException: exception !== undefined, because: exception?.because };
  }

  /** The objects because of which a destination has a waypoint: what guards it, and what asked for it. */
  waypointReasons(destination: {
    readonly service?: MeshService;
    readonly workload?: Workload;
  }): readonly ObjectKey[] {
    const { service, workload } = destination;
    const guarded = service === undefined ? [workload] : this.index.endpoints(serviceKey(service));
    const because = guarded.flatMap((endpoint) => endpoint?.guard?.because ?? []);
    return [
      ...new Set([...because, ...this.#provisionedFor(service?.waypoint ?? workload?.waypoint)]),
    ];
  }

  #provisionedFor(gateway: GatewayAddress | undefined): readonly ObjectKey[] {
    const key = gateway === undefined ? undefined : this.#referenceOf(gateway)?.key;
    if (key === undefined) return [];
    const because = this.#snapshot.outputs.waypoints.get(key)?.because;
    // Nobody makes one that is found by its address: its Gateway is all there is.
    return because ?? [`Gateway/${key}`];
  }

  /** Whose waypoint a workload is that a gateway led to: as the gateway says, else by the service in front of it. */
  waypointOf(
    gateway: GatewayAddress | undefined,
    workload: Pick<Workload, 'services'>,
  ): Pick<WaypointReference, 'key' | 'className'> | undefined {
    const named = gateway === undefined ? undefined : this.#referenceOf(gateway);
    if (named !== undefined) return named;
    const keys = Object.keys(workload.services).map((key) => key.replace(/\..*$/, ''));
    const key = keys.find((one) => this.#isWaypoint(one));
    return key === undefined ? undefined : { key, className: this.#classOf(key) };
  }

  /** A snapshot of an earlier version says only where it is. */
  #referenceOf({
    waypoint,
    destination,
  }: GatewayAddress): Pick<WaypointReference, 'key' | 'className'> | undefined {
    if (waypoint !== undefined) return waypoint;
    if (destination.kind !== 'hostname') return undefined;
    const { namespace, hostname } = destination.hostname;
    const key = `${namespace}/${hostname.split('.')[0] ?? ''}`;
    return this.#isWaypoint(key) ? { key, className: this.#classOf(key) } : undefined;
  }

  /** Whether a waypoint is of this mesh, and not another's that a label names. */
  isOwn({ key }: Pick<WaypointReference, 'key'>): boolean {
    return this.#isWaypoint(key);
  }

  #isWaypoint(key: string): boolean {
    const { waypoints, scopes } = this.#snapshot.outputs;
    return waypoints.has(key) || scopes.has(key);
  }

  #classOf(key: string): string {
    return this.#snapshot.outputs.waypoints.get(key)?.className ?? WAYPOINT_CLASS;
  }
}
