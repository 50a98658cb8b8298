/** What bindings, guards and addresses are derived from. */
import type { Collection } from '../graph/collection.ts';
import type { ModelOptions } from '../objects/keys.ts';
import type { Sources } from '../objects/sources.ts';
import type { Attachment, PolicyInfo } from '../policy/policies.ts';
import type { Memberships } from '../service/memberships.ts';
import type { ServiceSpec } from '../service/services.ts';
import type { NetworkAddress } from '../types.ts';
import type { ServiceRouting } from '../waypoint/routes.ts';
import type { WaypointDefinition } from '../waypoint/waypoints.ts';
import type { PodMode } from '../workload/enrolment.ts';
import type { WorkloadSpec } from '../workload/workloads.ts';

export interface AddressInputs {
  readonly sources: Sources;
  readonly options: ModelOptions;
  readonly services: Collection<ServiceSpec>;
  readonly vips: Collection<readonly NetworkAddress[]>;
  readonly workloadSpecs: Collection<WorkloadSpec>;
  readonly podModes: Collection<PodMode>;
  /** Namespaces with a pod that is enrolled. */
  readonly enrolledNamespaces: Collection<true>;
  readonly policies: Collection<PolicyInfo>;
  readonly attachments: Collection<Attachment>;
  readonly memberships: Collection<Memberships>;
  /** By `namespace/name`. */
  readonly waypoints: Collection<WaypointDefinition>;
  readonly readyGateways: Collection<true>;
  readonly routings: Collection<ServiceRouting>;
}
