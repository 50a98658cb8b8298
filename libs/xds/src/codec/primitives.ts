/** What several messages share: addresses, enums, ports, extensions. Strict, because a peer sends them. */
import { formatIp, parseIp } from '@ambit/api';
import {
  create,
  type DescMessage,
  fromBinary,
  isMessage,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';

import { invalidResource, reasonOf, XdsError } from '../errors.ts';

const PORT_MAX = 65_535;
const MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex');

/** Canonical text; an IPv4 address mapped into IPv6 is the IPv4 address. Refuses other lengths. */
export function decodeIp(bytes: Uint8Array): string {
  if (bytes.length !== 4 && bytes.length !== 16) {
    throw invalidResource(`failed to parse address, had ${bytes.length} bytes`);
  }
  return formatIp(unmapped(bytes));
}

export function encodeIp(text: string): Uint8Array {
  const bytes = parseIp(text);
  if (bytes === undefined) {
    throw notExpressible(`${JSON.stringify(text)} is not an address`);
  }
  return bytes;
}

/** Bytes of a CIDR's address and its length, in one family. */
export function decodeCidr(
  bytes: Uint8Array,
  length: number,
): { address: Uint8Array; length: number } {
  decodeIp(bytes);
  const address = unmapped(bytes);
  const cut = address.length === bytes.length ? length : length - 96;
  if (!(cut >= 0 && cut <= address.length * 8)) {
    throw invalidResource(
      `prefix length ${length} does not fit an address of ${bytes.length} bytes`,
    );
  }
  // A copy: a view would keep the whole response alive.
  return { address: Uint8Array.from(address), length: cut };
}

function unmapped(bytes: Uint8Array): Uint8Array {
  const isMapped = bytes.length === 16 && MAPPED_PREFIX.equals(bytes.subarray(0, 12));
  return isMapped ? bytes.subarray(12) : bytes;
}

export function checkPort(port: number, what: string): number {
  if (port > PORT_MAX) {
    throw invalidResource(`${what} ${port} is not a port`);
  }
  return port;
}

/**
 * Names of an enum's numbers. `allowed` leaves out what this version must not accept. An unknown
 * number refuses the resource: a guess would be a decision.
 */
export function enumNames<Name extends string>(
  values: Readonly<Record<Name, number>>,
  what: string,
): (value: number) => Name {
  const names = new Map<number, Name>();
  for (const name of Object.keys(values) as Name[]) {
    names.set(values[name], name);
  }
  return (value) => {
    const name = names.get(value);
    if (name === undefined) {
      throw invalidResource(`decode error: unknown enumeration value ${value} of ${what}`);
    }
    return name;
  };
}

/** `refuse`: where a field that is not understood could change what the others mean. */
export type UnknownFields = 'skip' | 'refuse';

/** Bytes to a message; anything that is not one is refused. Content of an Any is not looked at. */
export function decodeMessage<Desc extends DescMessage>(
  schema: Desc,
  bytes: Uint8Array,
  unknownFields: UnknownFields = 'skip',
): MessageShape<Desc> {
  const isStrict = unknownFields === 'refuse';
  const message = readMessage(schema, bytes, isStrict);
  const unknown = isStrict ? findUnknown(message) : undefined;
  if (unknown !== undefined) {
    throw invalidResource(`decode error: unknown field ${unknown}`);
  }
  return message;
}

function readMessage<Desc extends DescMessage>(
  schema: Desc,
  bytes: Uint8Array,
  readUnknownFields: boolean,
): MessageShape<Desc> {
  try {
    return fromBinary(schema, bytes, { readUnknownFields });
  } catch (cause) {
    throw new XdsError('XDS_RESOURCE_INVALID', `decode error: ${reasonOf(cause)}`, { cause });
  }
}

/** `3 of istio.security.Match`: the first field, at any depth, that the schema does not know. */
function findUnknown(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) {
    return undefined;
  }
  if (isMessage(value)) {
    const [unknown] = value.$unknown ?? [];
    if (unknown !== undefined) {
      return `${unknown.no} of ${value.$typeName}`;
    }
  }
  for (const [key, part] of Object.entries(value)) {
    const found = key.startsWith('$') ? undefined : findUnknown(part);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}

export interface ExtensionFields {
  readonly name: string;
  readonly config: Any;
}

export function encodeExtension<Desc extends DescMessage>(options: {
  readonly name: string;
  readonly typeUrl: string;
  readonly schema: Desc;
  readonly message: MessageShape<Desc>;
}): ExtensionFields {
  const { name, typeUrl, schema, message } = options;
  return { name, config: create(AnySchema, { typeUrl, value: toBinary(schema, message) }) };
}

/** The extension of that name, decoded; undefined if it is not there, refused if it is not what it says. */
export function findExtension<Desc extends DescMessage>(
  extensions: readonly { readonly name: string; readonly config?: Any | undefined }[],
  wanted: {
    readonly name: string;
    readonly typeUrl: string;
    readonly schema: Desc;
    readonly unknownFields?: UnknownFields;
  },
): MessageShape<Desc> | undefined {
  const [found, second] = extensions.filter((extension) => extension.name === wanted.name);
  if (found === undefined) {
    return undefined;
  }
  if (second !== undefined || found.config?.typeUrl !== wanted.typeUrl) {
    throw invalidResource(`extension ${wanted.name} is there twice or of another type`);
  }
  return decodeMessage(wanted.schema, found.config.value, wanted.unknownFields);
}

export function notExpressible(why: string): XdsError {
  return new XdsError('XDS_NOT_EXPRESSIBLE', why, { side: 'local' });
}
