/** Configuration and certificates over the wire: delta ADS client and server, the certificate service. */
export {
  type ClientCounters,
  type ClientStatus,
  DeltaClient,
  type DeltaClientOptions,
  type DeltaTransport,
  type OpenDelta,
  StreamEnd,
} from './client/delta-client.ts';
export {
  announceNames,
  type RawResource,
  type Rejection,
  type Subscription,
  subscribeTo,
  type Update,
} from './client/subscription.ts';
export type { TypeStatus } from './client/type-record.ts';
export { addressAliases, addressName, decodeAddress, encodeAddress } from './codec/address.ts';
export {
  authorizationName,
  decodeAuthorization,
  encodeAuthorization,
  standInAuthorization,
} from './codec/authorization.ts';
export { decodeEnrolment, encodeEnrolment } from './codec/enrolment.ts';
export { decodeObject, encodeObject, type ObjectResource } from './codec/object.ts';
export { decodePod, encodePod } from './codec/pod.ts';
export { type ContentHash, loadContentHash } from './content-hash.ts';
export { XdsError, type XdsErrorCode } from './errors.ts';
export { type CertificateClient, createCertificateClient } from './grpc/certificate-client.ts';
export type {
  CertificateServiceEvent,
  CertificateServiceOptions,
} from './grpc/certificate-service.ts';
export { type ControlPlaneAddress, fileText, tokenFile } from './grpc/channel.ts';
export {
  ControlPlaneServer,
  type ControlPlaneServerOptions,
  type ServingKeys,
} from './grpc/control-plane-server.ts';
export { openDeltaStream } from './grpc/delta-transport.ts';
export { openReplicaStream, type ReplicaStream } from './grpc/replica-client.ts';
export type {
  OpenReplicaCall,
  ReplicaCall,
  ReplicaServiceOptions,
} from './grpc/replica-service.ts';
export { buildNode, type NodeFields, VERSION_METADATA, type XdsNode } from './node.ts';
export {
  certificateAuthorityOf,
  createProxyClient,
  type ProxyClientOptions,
} from './proxy-client.ts';
export { revocationsOfProxy } from './proxy-revocations.ts';
export { type ProxySettings, readProxySettings } from './proxy-settings.ts';
export {
  decodeReplicaUpdate,
  encodeReplicaUpdate,
  REPLICA_UPDATE_BYTES_MAX,
  type ReplicaAnswer,
  type ReplicaCaptures,
  type ReplicaProxy,
  type ReplicaUpdate,
} from './replica/replica-update.ts';
export {
  addressResource,
  authorizationResource,
  enrolmentResource,
  objectResource,
  podResource,
  type Resource,
  type ResourceChange,
  type ResourceSource,
} from './resource.ts';
export {
  type DeltaCall,
  DeltaServer,
  type DeltaServerEvent,
  type DeltaServerOptions,
  type OpenStream,
  type StreamView,
  type TypeView,
} from './server/delta-server.ts';
export type { StreamEvent, StreamLimits } from './server/delta-stream.ts';
export type { Rejected } from './server/type-state.ts';
export { TYPE_URL } from './type-urls.ts';
