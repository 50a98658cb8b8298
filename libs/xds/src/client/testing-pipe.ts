/** A client whose server is the test: streams in memory, a fake clock. */
import assert from 'node:assert/strict';

import { FakeClock } from '@ambit/core/testing';

import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { buildNode } from '../node.ts';
import { DeltaClient, type DeltaTransport, type OpenDelta } from './delta-client.ts';
import type { Subscription } from './subscription.ts';

const node = buildNode({
  type: 'ztunnel',
  ip: '10.0.0.1',
  podName: 'a',
  namespace: 'istio-system',
  metadata: {},
});

/** A stream whose server end a test holds. */
export class Pipe implements DeltaTransport {
  readonly requests: DeltaDiscoveryRequest[] = [];
  readonly #queue: (DeltaDiscoveryResponse | Error | 'end')[] = [];
  #wake = Promise.withResolvers<void>();
  isClosed = false;
  readonly responses: AsyncIterable<DeltaDiscoveryResponse> = this.#read();

  send(request: DeltaDiscoveryRequest): void {
    this.requests.push(request);
  }

  close(): void {
    this.isClosed = true;
    this.push('end');
  }

  push(item: DeltaDiscoveryResponse | Error | 'end'): void {
    this.#queue.push(item);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  async *#read(): AsyncGenerator<DeltaDiscoveryResponse> {
    for (;;) {
      const item = this.#queue.shift();
      if (item === undefined) {
        await this.#wake.promise;
      } else if (item === 'end') {
        return;
      } else if (item instanceof Error) {
        throw item;
      } else {
        yield item;
      }
    }
  }
}

export interface Rig {
  readonly client: DeltaClient;
  readonly clock: FakeClock;
  readonly pipes: Pipe[];
  /** The stream of now. */
  pipe(): Pipe;
  readonly disconnects: string[];
}

export function rig(subscriptions: readonly Subscription[], open?: OpenDelta): Rig {
  const clock = new FakeClock();
  const pipes: Pipe[] = [];
  const disconnects: string[] = [];
  const client = new DeltaClient({
    clock,
    node,
    subscriptions,
    random: () => 0.5,
    onDisconnected: (reason) => disconnects.push(reason),
    open:
      open ??
      (() => {
        const pipe = new Pipe();
        pipes.push(pipe);
        return Promise.resolve(pipe);
      }),
  });
  const pipe = (): Pipe => {
    const last = pipes.at(-1);
    assert.ok(last, 'no stream was opened');
    return last;
  };
  return { client, clock, pipes, pipe, disconnects };
}

/** Some turns of the event loop. */
export const turn = async (): Promise<void> => {
  for (let count = 0; count < 5; count += 1) {
    await new Promise(setImmediate);
  }
};
