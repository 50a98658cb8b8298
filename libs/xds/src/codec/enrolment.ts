/** Enrolment: `@ambit/model` ⇄ `ambit.mesh.v1.Enrolment`. The resource's name is the namespace. */
import type { Enrolment } from '@ambit/model';
import { create, toBinary } from '@bufbuild/protobuf';

import { invalidResource } from '../errors.ts';
import { Enrolment_Mode, EnrolmentSchema } from '../gen/ambit/mesh/v1/mesh_pb.ts';
import { decodeMessage, enumNames } from './primitives.ts';

const modeName = enumNames(Enrolment_Mode, 'Enrolment.Mode');

export function encodeEnrolment(enrolment: Enrolment): Uint8Array {
  return toBinary(
    EnrolmentSchema,
    create(EnrolmentSchema, {
      namespace: enrolment.namespace,
      mode: encodeMode(enrolment.mode),
      exceptions: enrolment.exceptions.map(({ pod, mode }) => ({ pod, mode: encodeMode(mode) })),
      dnsCapture: enrolment.dnsCapture,
    }),
  );
}

/** Throws XDS_RESOURCE_INVALID. */
export function decodeEnrolment(name: string, value: Uint8Array): Enrolment {
  const message = decodeMessage(EnrolmentSchema, value);
  if (message.namespace !== name || name === '') {
    throw invalidResource('its content is of another namespace');
  }
  return {
    namespace: message.namespace,
    mode: decodeMode(message.mode),
    exceptions: message.exceptions.map(({ pod, mode }) => ({ pod, mode: decodeMode(mode) })),
    dnsCapture: message.dnsCapture,
  };
}

export function encodeMode(mode: Enrolment['mode']): Enrolment_Mode {
  return mode === 'ambient' ? Enrolment_Mode.AMBIENT : Enrolment_Mode.NONE;
}

export function decodeMode(mode: number): Enrolment['mode'] {
  return modeName(mode) === 'AMBIENT' ? 'ambient' : 'none';
}
