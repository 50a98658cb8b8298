/** Delta streams over gRPC, client side. */
import { type ServiceError, status } from '@grpc/grpc-js';

import { type DeltaTransport, type OpenDelta, StreamEnd } from '../client/delta-client.ts';
import { reasonOf } from '../errors.ts';
import type { DeltaDiscoveryResponse } from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { type ControlPlaneAddress, callMetadata, connect } from './channel.ts';
import { DELTA_METHOD } from './methods.ts';

const ROUTINE: ReadonlySet<status> = new Set([
  status.UNKNOWN,
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
]);

/** Each stream has a connection of its own, so that root and token are those of the moment. */
export function openDeltaStream(target: ControlPlaneAddress): OpenDelta {
  return async (signal) => {
    const metadata = await callMetadata(target);
    const client = await connect(target, signal);
    const { path, requestSerialize, responseDeserialize } = DELTA_METHOD;
    const call = client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      metadata,
    );
    // Reading throws it too; without a listener it would end the process when nobody reads.
    call.on('error', () => undefined);
    const transport: DeltaTransport = {
      send: (request) => call.write(request),
      responses: readAll(call),
      close: () => {
        call.cancel();
        client.close();
      },
    };
    return transport;
  };
}

async function* readAll(
  call: AsyncIterable<DeltaDiscoveryResponse>,
): AsyncGenerator<DeltaDiscoveryResponse> {
  try {
    yield* call;
  } catch (cause) {
    throw new StreamEnd(`the stream broke: ${reasonOf(cause)}`, {
      isRoutine: isRoutine(cause),
      cause,
    });
  }
}

/** Servers recycle connections in these ways. */
function isRoutine(error: unknown): boolean {
  const { code, details = '' } = error as Partial<ServiceError>;
  const isRecycling = /transport is closing|received prior goaway/i.test(details);
  return (code !== undefined && ROUTINE.has(code)) || (code === status.UNAVAILABLE && isRecycling);
}
