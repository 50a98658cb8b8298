/** `ambit.mesh.v1.Replicas`, client side: one call to one replica, on a connection of its own. */
import { create } from '@bufbuild/protobuf';

import { reasonOf, XdsError } from '../errors.ts';
import { ReplicaWatchSchema } from '../gen/ambit/mesh/v1/replicas_pb.ts';
import type { ReplicaUpdate } from '../replica/replica-update.ts';
import { type ControlPlaneAddress, callMetadata, connect } from './channel.ts';
import { WATCH_REPLICA_METHOD } from './methods.ts';

export interface ReplicaStream {
  /** Ends when the replica ends the call; throws XDS_TRANSPORT when it breaks. */
  readonly updates: AsyncIterable<ReplicaUpdate>;
  /** Idempotent. */
  close(): void;
}

/** Asks a replica by its own address. Throws XDS_TRANSPORT when it cannot be reached. */
export async function openReplicaStream(
  target: ControlPlaneAddress,
  names: { readonly watcher: string; readonly replica: string },
  signal: AbortSignal,
): Promise<ReplicaStream> {
  const metadata = await callMetadata(target);
  const client = await connect(target, signal);
  const { path, requestSerialize, responseDeserialize } = WATCH_REPLICA_METHOD;
  const call = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    create(ReplicaWatchSchema, names),
    metadata,
  );
  // Reading throws it too; without a listener it would end the process when nobody reads.
  call.on('error', () => undefined);
  return {
    updates: readAll(call, names.replica),
    close: () => {
      call.cancel();
      client.close();
    },
  };
}

/** An address may be another pod's by now, so who speaks says so. */
async function* readAll(
  call: AsyncIterable<ReplicaUpdate>,
  replica: string,
): AsyncGenerator<ReplicaUpdate> {
  try {
    for await (const update of call) {
      if (update.replica !== replica) {
        throw new Error(`${update.replica} is there`);
      }
      yield update;
    }
  } catch (cause) {
    throw new XdsError('XDS_TRANSPORT', `replica ${replica}: ${reasonOf(cause)}`, {
      retryable: true,
      cause,
    });
  }
}
