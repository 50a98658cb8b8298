/**
 * `ambit.mesh.v1.Replicas`, server side: what one replica tells the others. Only the controller's own account may ask.
 *
 * A watcher that does not read is told nothing more until it does; what changes meanwhile is for `watch` to merge.
 */
import type { TokenVerifier } from '@ambit/identity';
import type { handleServerStreamingCall } from '@grpc/grpc-js';

import { XdsError } from '../errors.ts';
import type { ReplicaWatch } from '../gen/ambit/mesh/v1/replicas_pb.ts';
import type { ReplicaUpdate } from '../replica/replica-update.ts';
import { authenticate, toServiceError } from './refusals.ts';

/** The call of one watcher. */
export interface ReplicaCall {
  /** Name of its pod, by its token. */
  readonly watcher: string;
  /** Whom it meant to ask; empty: whoever is here. */
  readonly replica: string;
  /** False: no more until `resume`. */
  send(update: ReplicaUpdate): boolean;
  /** Ends the call with an error. */
  fail(error: XdsError): void;
}

export interface OpenReplicaCall {
  /** What was sent is on its way. */
  resume(): void;
  /** The call is over. Idempotent. */
  close(): void;
}

export interface ReplicaServiceOptions {
  /** Of the controller itself: `namespace/serviceaccount`. */
  readonly account: string;
  /** Throws an XdsError that refuses the call. */
  readonly watch: (call: ReplicaCall) => OpenReplicaCall;
}

export function replicaHandler(
  { account, watch }: ReplicaServiceOptions,
  verifier: TokenVerifier,
): handleServerStreamingCall<ReplicaWatch, ReplicaUpdate> {
  return (call) => {
    let open: OpenReplicaCall | undefined;
    let isOver = false;
    const end = (error?: unknown): void => {
      if (isOver) {
        return;
      }
      isOver = true;
      open?.close();
      if (error === undefined) {
        call.end();
      } else {
        call.emit('error', toServiceError(error));
      }
    };
    call.on('cancelled', () => end());
    call.on('error', () => end());
    call.on('drain', () => open?.resume());
    authenticate(call, verifier)
      .then(({ namespace, serviceAccount, pod }) => {
        if (isOver) {
          return;
        }
        if (`${namespace}/${serviceAccount}` !== account) {
          throw new XdsError('XDS_FORBIDDEN', 'only replicas of the controller may ask', {
            side: 'downstream',
          });
        }
        open = watch({
          watcher: pod.name,
          replica: call.request.replica,
          send: (update) => !isOver && call.write(update) === true,
          fail: end,
        });
        open.resume();
      })
      .catch(end);
  };
}
