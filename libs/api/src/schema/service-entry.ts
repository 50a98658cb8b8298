/** networking.istio.io ServiceEntry and WorkloadEntry. */
import * as z from 'zod';
import type { ServiceEntry, WorkloadEntry, WorkloadEntrySpec } from '../types/networking.ts';
import { integer, listOf, mapOf, name, oneOf, portNumber, text } from './build.ts';
import { cidrText, host, labels } from './values.ts';

const entryFields = {
  ports: mapOf(portNumber),
  labels,
  network: text.default(''),
  locality: text.default(''),
  weight: integer(1).default(1),
  serviceAccount: text.default(''),
};

export const workloadEntrySpec: z.ZodType<WorkloadEntry['spec']> = z.strictObject({
  address: name,
  ...entryFields,
});

const endpoint: z.ZodType<WorkloadEntrySpec> = z.strictObject({
  address: text.default(''),
  ...entryFields,
});

const PROTOCOLS = [
  'HTTP',
  'HTTPS',
  'GRPC',
  'GRPC-WEB',
  'HTTP2',
  'MONGO',
  'TCP',
  'TLS',
  'UDP',
  'MYSQL',
  'REDIS',
] as const;

export const serviceEntrySpec: z.ZodType<ServiceEntry['spec']> = z.strictObject({
  hosts: listOf(host({ wildcard: true })),
  addresses: listOf(cidrText),
  ports: listOf(
    z.strictObject({
      number: portNumber,
      protocol: oneOf(PROTOCOLS).default('TCP'),
      name: text.default(''),
      targetPort: portNumber.exactOptional(),
    }),
  ),
  location: oneOf(['MESH_EXTERNAL', 'MESH_INTERNAL']).default('MESH_EXTERNAL'),
  resolution: oneOf(['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS']).default('NONE'),
  endpoints: listOf(endpoint),
  workloadSelector: z.strictObject({ labels }).exactOptional(),
  exportTo: listOf(name),
  subjectAltNames: listOf(name),
});
