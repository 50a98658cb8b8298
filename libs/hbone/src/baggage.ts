/**
 * The `baggage` header: what a proxy says about its workload, for telemetry only.
 *
 * It is written by the peer and proves nothing: no decision may read it.
 */

export interface Baggage {
  readonly clusterId?: string;
  readonly namespace?: string;
  /** Kind and name of the owner: `k8s.deployment.name=reviews-v1`. */
  readonly workloadType?: BaggageWorkloadType;
  readonly workloadName?: string;
  readonly canonicalName?: string;
  readonly canonicalRevision?: string;
  readonly region?: string;
  readonly zone?: string;
}

const WORKLOAD_TYPES = ['deployment', 'cronjob', 'pod', 'job'] as const;
export type BaggageWorkloadType = (typeof WORKLOAD_TYPES)[number];

const HEADER_LENGTH_MAX = 4096;
const VALUE_LENGTH_MAX = 256;
const ITEMS_MAX = 32;
/** Printable ASCII without the separators. */
const VALUE = /^[\x21-\x2b\x2d-\x3a\x3c\x3e-\x7e]+$/;

/** In the reference's order; empty, absent and unprintable values are left out. */
export function formatBaggage(baggage: Baggage): string {
  const { workloadType = 'pod' } = baggage;
  const items: readonly (readonly [string, string | undefined])[] = [
    ['k8s.cluster.name', baggage.clusterId],
    ['k8s.namespace.name', baggage.namespace],
    [`k8s.${workloadType}.name`, baggage.workloadName],
    ['service.name', baggage.canonicalName],
    ['service.version', baggage.canonicalRevision],
    ['cloud.region', baggage.region],
    ['cloud.availability_zone', baggage.zone],
  ];
  return items
    .filter(([, value]) => value !== undefined && isValue(value))
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** Never throws: unknown keys, empty and over-long values are skipped; a header that is not ASCII is ignored. */
export function parseBaggage(header: string | undefined): Baggage {
  if (header === undefined || header.length > HEADER_LENGTH_MAX || !/^[\x20-\x7e]*$/.test(header)) {
    return {};
  }
  const found: { -readonly [Key in keyof Baggage]: Baggage[Key] } = {};
  for (const item of header.split(',', ITEMS_MAX)) {
    const separator = item.indexOf('=');
    const key = item.slice(0, separator).trim();
    const value = item.slice(separator + 1).trim();
    if (separator > 0 && isValue(value)) {
      assign(found, key, value);
    }
  }
  return found;
}

function assign(
  found: { -readonly [Key in keyof Baggage]: Baggage[Key] },
  key: string,
  value: string,
): void {
  switch (key) {
    case 'k8s.cluster.name':
      found.clusterId = value;
      return;
    case 'k8s.namespace.name':
      found.namespace = value;
      return;
    case 'service.name':
      found.canonicalName = value;
      return;
    case 'service.version':
      found.canonicalRevision = value;
      return;
    case 'cloud.region':
      found.region = value;
      return;
    case 'cloud.availability_zone':
      found.zone = value;
      return;
    default: {
      const type = WORKLOAD_TYPES.find((candidate) => key === `k8s.${candidate}.name`);
      if (type !== undefined) {
        found.workloadType = type;
        found.workloadName = value;
      }
    }
  }
}

function isValue(value: string): boolean {
  return value.length <= VALUE_LENGTH_MAX && VALUE.test(value);
}
