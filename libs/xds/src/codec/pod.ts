/** PodFacts: `@ambit/model` ⇄ `ambit.mesh.v1.Pod`. The resource's name is `namespace/name`. */
import type { PodFacts } from '@ambit/model';
import { create, toBinary } from '@bufbuild/protobuf';

import { invalidResource } from '../errors.ts';
import { PodSchema } from '../gen/ambit/mesh/v1/mesh_pb.ts';
import { decodeMode, encodeMode } from './enrolment.ts';
import { decodeMessage } from './primitives.ts';

export function podName({ namespace, name }: Pick<PodFacts, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`;
}

export function encodePod(facts: PodFacts): Uint8Array {
  const { mode, annotations, ...rest } = facts;
  return toBinary(
    PodSchema,
    create(PodSchema, {
      ...rest,
      annotations: { ...annotations },
      ...(mode === undefined ? {} : { mode: encodeMode(mode) }),
    }),
  );
}

/** Throws XDS_RESOURCE_INVALID. */
export function decodePod(name: string, value: Uint8Array): PodFacts {
  const message = decodeMessage(PodSchema, value);
  const { namespace, uid, node, serviceAccount, mode, annotations } = message;
  if (podName(message) !== name || namespace === '' || message.name === '') {
    throw invalidResource('its content is of another pod');
  }
  if (serviceAccount === '') {
    throw invalidResource('it has no service account');
  }
  return {
    namespace,
    name: message.name,
    uid,
    node,
    serviceAccount,
    ...(mode === undefined ? {} : { mode: decodeMode(mode) }),
    annotations: { ...annotations },
  };
}
