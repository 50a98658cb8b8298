/** The methods of the control plane, as grpc-js wants them: no .proto is loaded at run time. */
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import type { MethodDefinition } from '@grpc/grpc-js';

import { type ReplicaWatch, ReplicaWatchSchema } from '../gen/ambit/mesh/v1/replicas_pb.ts';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import {
  IstioCertificateRequestSchema,
  IstioCertificateResponseSchema,
} from '../gen/istio/v1/auth/ca_pb.ts';
import {
  decodeReplicaUpdate,
  encodeReplicaUpdate,
  type ReplicaUpdate,
} from '../replica/replica-update.ts';

export const DELTA_METHOD = method({
  path: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
  isStream: true,
  request: DeltaDiscoveryRequestSchema,
  response: DeltaDiscoveryResponseSchema,
});

export const CREATE_CERTIFICATE_METHOD = method({
  path: '/istio.v1.auth.IstioCertificateService/CreateCertificate',
  isStream: false,
  request: IstioCertificateRequestSchema,
  response: IstioCertificateResponseSchema,
});

export const WATCH_REPLICA_METHOD: MethodDefinition<ReplicaWatch, ReplicaUpdate> = {
  path: '/ambit.mesh.v1.Replicas/Watch',
  requestStream: false,
  responseStream: true,
  requestSerialize: (message) => Buffer.from(toBinary(ReplicaWatchSchema, message)),
  requestDeserialize: (bytes) => fromBinary(ReplicaWatchSchema, bytes),
  responseSerialize: (update) => Buffer.from(encodeReplicaUpdate(update)),
  responseDeserialize: decodeReplicaUpdate,
};

function method<Request extends DescMessage, Response extends DescMessage>(options: {
  readonly path: string;
  readonly isStream: boolean;
  readonly request: Request;
  readonly response: Response;
}): MethodDefinition<MessageShape<Request>, MessageShape<Response>> {
  const { path, isStream, request, response } = options;
  return {
    path,
    requestStream: isStream,
    responseStream: isStream,
    requestSerialize: (message) => Buffer.from(toBinary(request, message)),
    requestDeserialize: (bytes) => fromBinary(request, bytes, { readUnknownFields: false }),
    responseSerialize: (message) => Buffer.from(toBinary(response, message)),
    responseDeserialize: (bytes) => fromBinary(response, bytes, { readUnknownFields: false }),
  };
}
