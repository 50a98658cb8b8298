/** What a proxy tells its peer about a workload, for telemetry. */
import type { Baggage, BaggageWorkloadType } from '@ambit/hbone';
import type { Workload } from '@ambit/model';

export function baggageOf(workload: Workload): Baggage {
  return {
    clusterId: workload.clusterId,
    namespace: workload.namespace,
    workloadType: workload.workloadType.toLowerCase() as BaggageWorkloadType,
    workloadName: workload.workloadName,
    canonicalName: workload.canonicalName,
    canonicalRevision: workload.canonicalRevision,
    ...(workload.locality && {
      region: workload.locality.region,
      zone: workload.locality.zone,
    }),
  };
}
