/** Recordings of the reference's control plane and agent, for the tests of this package. */
import { readFileSync } from 'node:fs';

import { fromBinary, type JsonObject } from '@bufbuild/protobuf';

import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from './gen/envoy/service/discovery/v3/discovery_pb.ts';
import type { Resource } from './resource.ts';

export interface RecordedResource {
  readonly name: string;
  readonly type_url: string;
  readonly version?: string;
  readonly value_base64: string;
  readonly json: JsonObject;
}

export type RecordedMessage =
  | { readonly from: 'client'; readonly name: string; readonly request: DeltaDiscoveryRequest }
  | { readonly from: 'server'; readonly name: string; readonly response: DeltaDiscoveryResponse };

interface Entry {
  readonly from: 'client' | 'server';
  readonly name: string;
  readonly bytes: string;
}

export const recordedResources = read<readonly RecordedResource[]>('xds/resources.json');
const conversations = {
  ...read<Record<string, readonly Entry[]>>('xds/conversations.json'),
  ...read<Record<string, readonly Entry[]>>('ztunnel-istiod/conversations.json'),
};

/** All messages of one recording, in order. */
export function conversation(name: string): RecordedMessage[] {
  return (conversations[name] ?? []).map((entry) => {
    const bytes = Buffer.from(entry.bytes, 'base64');
    return entry.from === 'client'
      ? {
          from: 'client',
          name: entry.name,
          request: fromBinary(DeltaDiscoveryRequestSchema, bytes),
        }
      : {
          from: 'server',
          name: entry.name,
          response: fromBinary(DeltaDiscoveryResponseSchema, bytes),
        };
  });
}

/** What a response carried, as resources of a source. */
export function resourcesOf(
  response: DeltaDiscoveryResponse,
  version: (value: Uint8Array) => string,
): Resource[] {
  return response.resources.map(({ name, resource, aliases }) => {
    const value = resource?.value ?? new Uint8Array();
    return { name, version: version(value), value, aliases, rank: 0 };
  });
}

function read<T>(path: string): T {
  return JSON.parse(readFileSync(new URL(`../fixtures/${path}`, import.meta.url), 'utf8')) as T;
}
