/** A snapshot opened for questions: the same indexes that agents and waypoints hold. */
import type { ObjectKey } from '@ambit/api';
import {
  type DecodedSnapshot,
  type GatewayAddress,
  MeshIndex,
  type MeshService,
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
  waypoint(namespace: string, name: string): WaypointView {
    const key = `${namespace}/${name}`;
    const known = this.#views.get(key);
    if (known !== undefined) return known;
    const { context, outputs } = this.#snapshot;
    const className = outputs.waypoints.get(key)?.className ?? WAYPOINT_CLASS;
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
    const { mode, isException } = this.#modeOf(namespace, name);
    if (mode === 'ambient') return NOT_CAPTURED_YET;
    if (isException) return 'left out of the mesh by its own labels or kind';
    return `not captured: namespace ${namespace} is not enrolled (label istio.io/dataplane-mode=ambient)`;
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
  ): { readonly mode: 'ambient' | 'none'; readonly isException: boolean } {
    const enrolment = this.#snapshot.outputs.enrolments.get(namespace);
    const exception = enrolment?.exceptions.find(({ pod }) => pod === name);
    const mode = exception?.mode ?? enrolment?.mode ?? 'none';
    return { mode, isException: exception !== undefined };
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
    if (gateway?.destination.kind !== 'hostname') return [];
    const { namespace, hostname } = gateway.destination.hostname;
    const name = hostname.split('.')[0] ?? '';
    return this.#snapshot.outputs.waypoints.get(`${namespace}/${name}`)?.because ?? [];
  }

  /** The waypoint that a workload runs, by the service in front of it. */
  waypointOf(workload: {
    readonly namespace: string;
    readonly serviceAccount: string;
    readonly services: Readonly<Record<string, unknown>>;
  }): { readonly namespace: string; readonly name: string } | undefined {
    for (const key of Object.keys(workload.services)) {
      const [namespace = '', hostname = ''] = key.split('/');
      const name = hostname.split('.')[0] ?? '';
      const id = `${namespace}/${name}`;
      if (this.#snapshot.outputs.waypoints.has(id) || this.#snapshot.outputs.scopes.has(id)) {
        return { namespace, name };
      }
    }
    return undefined;
  }
}
