/**
 * EndpointSlices, as far as the mesh reads them: the addresses behind a Service that has no selector.
 *
 * The cluster's own controllers write most of them, in what they check themselves.
 */
import * as z from 'zod';
import type { EndpointSlice, SliceEndpoint } from '../types/meta.ts';
import { listOf, oneOf, portNumber, reshape, text } from './build.ts';

const writtenEndpoint = z.object({
  addresses: listOf(text),
  conditions: z.object({ ready: z.boolean().exactOptional() }).prefault({}),
  targetRef: z
    .object({
      kind: text.exactOptional(),
      name: text.exactOptional(),
      namespace: text.exactOptional(),
    })
    .exactOptional(),
  nodeName: text.default(''),
});
const endpoint = reshape<z.output<typeof writtenEndpoint>, SliceEndpoint>(
  writtenEndpoint,
  ({ addresses, conditions, targetRef, nodeName }) => ({
    addresses,
    ready: conditions.ready !== false,
    ...podOf(targetRef),
    nodeName,
  }),
  ({ addresses, ready, pod, nodeName }) => ({
    addresses: [...addresses],
    conditions: { ready },
    ...(pod === undefined ? {} : { targetRef: { kind: 'Pod', ...pod } }),
    nodeName,
  }),
);

function podOf(ref: z.output<typeof writtenEndpoint>['targetRef']): Pick<SliceEndpoint, 'pod'> {
  if (ref?.kind !== 'Pod' || ref.name === undefined) return {};
  const { name, namespace } = ref;
  return { pod: { name, ...(namespace === undefined ? {} : { namespace }) } };
}

const writtenPort = z.object({
  name: text.default(''),
  // Without a number a slice means every port, which nobody can send to.
  port: portNumber.exactOptional(),
  protocol: oneOf(['TCP', 'UDP', 'SCTP']).default('TCP'),
});
type SlicePorts = EndpointSlice['ports'];
const ports = reshape<readonly z.output<typeof writtenPort>[], SlicePorts>(
  listOf(writtenPort),
  (items) => items.flatMap(({ port, ...rest }) => (port === undefined ? [] : { ...rest, port })),
  (items) => [...items],
);

type SliceBody = Pick<EndpointSlice, 'addressType' | 'endpoints' | 'ports'>;

/** The body of an EndpointSlice; it has no `spec`. */
export const endpointSliceBody: z.ZodType<SliceBody> = z.object({
  addressType: oneOf(['IPv4', 'IPv6', 'FQDN']),
  endpoints: listOf(endpoint),
  ports,
});
