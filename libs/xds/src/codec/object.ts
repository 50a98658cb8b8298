/** Objects for waypoints: accepted, with defaults, as JSON. The resource's name is the object's key. */
import type { MeshObject, ObjectKey } from '@ambit/api';
import { create, toBinary } from '@bufbuild/protobuf';

import { invalidResource, reasonOf } from '../errors.ts';
import { ObjectSchema } from '../gen/ambit/mesh/v1/mesh_pb.ts';
import { decodeMessage } from './primitives.ts';

/** etcd holds no object above 1.5 MiB. */
const OBJECT_BYTES_MAX = 4 * 1024 * 1024;

export interface ObjectResource {
  readonly key: ObjectKey;
  /** Of the meaning of the fields. */
  readonly semanticsVersion: number;
  readonly object: MeshObject;
}

export function encodeObject(resource: ObjectResource): Uint8Array {
  return toBinary(
    ObjectSchema,
    create(ObjectSchema, {
      key: resource.key,
      semanticsVersion: resource.semanticsVersion,
      json: Buffer.from(JSON.stringify(resource.object)),
    }),
  );
}

/**
 * Throws XDS_RESOURCE_INVALID when it is no object of its key's kind. The content is the controller's
 * word: it was validated there, and is not validated again.
 */
export function decodeObject(name: string, value: Uint8Array): ObjectResource {
  const { key, semanticsVersion, json } = decodeMessage(ObjectSchema, value);
  if (key !== name) {
    throw invalidResource('its content has another key');
  }
  if (json.length > OBJECT_BYTES_MAX) {
    throw invalidResource(`longer than ${OBJECT_BYTES_MAX} bytes`);
  }
  const object = parseJson(json);
  const [kind] = key.split('/');
  if (
    typeof object !== 'object' ||
    object === null ||
    !('kind' in object) ||
    object.kind !== kind
  ) {
    throw invalidResource('its content is of another kind');
  }
  return { key, semanticsVersion, object: object as MeshObject };
}

function parseJson(json: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (cause) {
    throw invalidResource(`its content is not JSON: ${reasonOf(cause)}`);
  }
}
