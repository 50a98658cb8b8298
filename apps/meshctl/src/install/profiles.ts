/** The four ways of installing that have a name; each is a values file. */
import type { JsonMap } from './values.ts';

export const PROFILE_NAMES = ['default', 'demo', 'strict', 'minimal'] as const;
export type ProfileName = (typeof PROFILE_NAMES)[number];

export interface Profile {
  readonly doc: string;
  readonly values: JsonMap;
}

export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  default: { doc: 'For production: two replicas, taint, no monitoring objects.', values: {} },
  demo: {
    doc: 'To look at it on a laptop: small, alert rules and dashboard included.',
    values: {
      controller: { replicas: 1, pdb: { enabled: false }, resources: small('50m') },
      agent: { resources: small('50m') },
      waypoint: { resources: small('20m') },
      monitoring: { rules: { configMap: true }, dashboard: { enabled: true } },
    },
  },
  strict: {
    doc: 'Nothing in clear in the whole mesh, three replicas, network policies, short certificates.',
    values: {
      strictMtls: true,
      ca: { certTtlSeconds: 43_200 },
      controller: { replicas: 3 },
      agent: { certTtl: '6h' },
      networkPolicy: { enabled: true },
      monitoring: { rules: { configMap: true } },
    },
  },
  minimal: {
    doc: 'The fewest objects: one replica, no taint, no DNS capture.',
    values: {
      controller: { replicas: 1, pdb: { enabled: false }, resources: small('50m') },
      agent: { dnsCapture: false, resources: small('50m') },
      taint: { enabled: false },
      monitoring: { annotations: false },
    },
  },
};

function small(cpu: string): JsonMap {
  return { requests: { cpu, memory: '128Mi' }, limits: { memory: '512Mi' } };
}
