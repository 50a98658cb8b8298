/** What a proxy tells its peer about a workload, for telemetry. */
import { type Baggage, type BaggageWorkloadType, formatBaggage } from '@ambit/hbone';
import type { Workload } from '@ambit/model';

const texts = new WeakMap<Workload, string>();

/** The header; the same text for the same record. */
export function baggageHeader(workload: Workload): string {
  let text = texts.get(workload);
  if (text === undefined) {
    text = formatBaggage(baggageOf(workload));
    texts.set(workload, text);
  }
  return text;
}

function baggageOf(workload: Workload): Baggage {
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
