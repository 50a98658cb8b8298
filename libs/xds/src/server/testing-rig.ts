/** A server whose clients are the test: streams in memory, a fake clock. */
import { FakeClock } from '@ambit/core/testing';
import type { TokenCaller } from '@ambit/identity';
import { create, type MessageInitShape } from '@bufbuild/protobuf';

import type { XdsError } from '../errors.ts';
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { buildNode } from '../node.ts';
import { MapSource } from '../testing.ts';
import { TYPE_URL } from '../type-urls.ts';
import { DeltaServer, type DeltaServerEvent, type DeltaServerOptions } from './delta-server.ts';

export const CALLER: TokenCaller = {
  namespace: 'istio-system',
  serviceAccount: 'ztunnel',
  pod: { name: 'ztunnel-hxphz', uid: 'u' },
  node: 'node1',
  expiresAtMs: 0,
};
export const node = buildNode({
  type: 'ztunnel',
  ip: '10.244.1.2',
  podName: 'ztunnel-hxphz',
  namespace: 'istio-system',
  metadata: { NODE_NAME: 'node1' },
});

export type Request = MessageInitShape<typeof DeltaDiscoveryRequestSchema>;

export interface Peer {
  readonly responses: DeltaDiscoveryResponse[];
  readonly errors: XdsError[];
  send(request: Request): Promise<void>;
  /** Acknowledges the last response of a type. */
  ack(typeUrl: string): Promise<void>;
  close(): void;
  /** What came since the last call, in short. */
  news(): string[];
}

/** Some turns of the event loop. */
export const turn = async (): Promise<void> => {
  for (let count = 0; count < 4; count += 1) {
    await new Promise(setImmediate);
  }
};

export class Rig {
  readonly clock = new FakeClock();
  readonly source = new MapSource();
  readonly events: DeltaServerEvent[] = [];
  readonly server: DeltaServer;

  constructor(options: Partial<DeltaServerOptions> = {}) {
    this.server = new DeltaServer({
      clock: this.clock,
      source: this.source,
      onEvent: (event) => this.events.push(event),
      ...options,
    });
  }

  connect(caller = CALLER): Peer {
    const responses: DeltaDiscoveryResponse[] = [];
    const errors: XdsError[] = [];
    const stream = this.server.open(
      { send: (response) => responses.push(response), fail: (error) => errors.push(error) },
      caller,
    );
    let seen = 0;
    const send = async (request: Request): Promise<void> => {
      stream.receive(create(DeltaDiscoveryRequestSchema, request));
      await turn();
      this.clock.advance(20);
      await turn();
    };
    return {
      responses,
      errors,
      send,
      ack: async (typeUrl) => {
        const last = responses.findLast((response) => response.typeUrl === typeUrl);
        await send({ typeUrl, responseNonce: last?.nonce ?? '' });
      },
      close: () => stream.close(),
      news: () => {
        const fresh = responses.slice(seen);
        seen = responses.length;
        return fresh.map(short);
      },
    };
  }

  async apply(...changes: Parameters<MapSource['apply']>[0]): Promise<void> {
    this.source.apply(changes);
    await turn();
  }
}

/** A response in one line. */
export function short({ typeUrl, resources, removedResources }: DeltaDiscoveryResponse): string {
  const parts = [
    ...resources.map(({ name, version }) => `${name}@${version}`),
    ...removedResources.map((name) => `-${name}`),
  ];
  return `${typeUrl.split('.').at(-1)}[${parts.join(' ')}]`;
}

/** Subscribed to policy and addresses, with the first answers taken. */
export async function synced(rig: Rig, policyType: string = TYPE_URL.authorization): Promise<Peer> {
  const peer = rig.connect();
  await peer.send({ node, typeUrl: policyType });
  await peer.send({ node, typeUrl: TYPE_URL.address });
  await peer.ack(policyType);
  await peer.ack(TYPE_URL.address);
  peer.news();
  return peer;
}
