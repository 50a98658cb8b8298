/**
 * The world of the routing scenarios: `reviews` in three versions behind a waypoint, and its routes. Imported by
 * tests only.
 */
import {
  type Bed,
  clientYaml,
  conditionsOf,
  echoYaml,
  makeBed,
  namespaceYaml,
  serviceYaml,
  tailOfLogs,
  yaml,
} from './bed.ts';
import type { Caller } from './caller.ts';

const WORLD = [
  namespaceYaml('shop'),
  echoYaml({ name: 'reviews-v1', app: 'reviews', version: 'v1', node: 'node1' }),
  echoYaml({ name: 'reviews-v2', app: 'reviews', version: 'v2', node: 'node2' }),
  echoYaml({ name: 'reviews-v3', app: 'reviews', version: 'v3', node: 'node2' }),
  serviceYaml('reviews'),
  echoYaml({ name: 'mirror', node: 'node1' }),
  serviceYaml('mirror'),
  serviceYaml('nobody'),
  clientYaml({ name: 'client', node: 'node1' }),
].join('');

export const RULE_KEY = 'VirtualService/shop/reviews';

export function destinationRule(trafficPolicy?: object): string {
  return yaml({
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: 'reviews', namespace: 'shop' },
    spec: {
      host: 'reviews',
      ...(trafficPolicy === undefined ? {} : { trafficPolicy }),
      subsets: ['v1', 'v2', 'v3'].map((version) => ({ name: version, labels: { version } })),
    },
  });
}

export const toSubset = (subset: string, weight?: number): object => ({
  destination: { host: 'reviews', subset },
  ...(weight === undefined ? {} : { weight }),
});

export const toAll = { destination: { host: 'reviews' } };

export function virtualService(http: readonly object[], extra: object = {}): string {
  return yaml({
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'reviews', namespace: 'shop' },
    spec: { hosts: ['reviews'], http, ...extra },
  });
}

export class Reviews implements AsyncDisposable {
  readonly bed: Bed;
  readonly client: Caller;
  #serial = 0;

  private constructor(bed: Bed) {
    this.bed = bed;
    this.client = bed.caller('shop/client');
  }

  /** Resolves when a waypoint serves a first route, to version 1. */
  static async start(): Promise<Reviews> {
    const bed = await makeBed(WORLD + destinationRule());
    const reviews = new Reviews(bed);
    try {
      // The first route makes the waypoint.
      await reviews.route([{ route: [toSubset('v1')] }]);
      await bed.lab.ready();
      await bed.lab.waitFor(async () => (await reviews.versionOf('/')) === 'v1', {
        what: 'the first route',
      });
      return reviews;
    } catch (error) {
      await reviews[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Applies routes and waits until the waypoint shows them: each version answers a question of its own. */
  async route(http: readonly object[], extra: object = {}): Promise<void> {
    const { lab } = this.bed;
    this.#serial += 1;
    const path = `/marker-${this.#serial}`;
    const marker = {
      match: [{ uri: { exact: path } }],
      directResponse: { status: 299, body: { string: path } },
    };
    lab.apply(virtualService([marker, ...http], extra));
    const call = { url: `http://reviews${path}` };
    try {
      await lab.waitFor(async () => (await this.client.http(call)).status === 299, {
        what: `route ${this.#serial}`,
        timeoutMs: 10_000,
      });
    } catch (error) {
      process.stderr.write(`${JSON.stringify(conditionsOf(lab, RULE_KEY))}\n${tailOfLogs(lab)}`);
      throw error;
    }
  }

  /** The version that answered, or what was answered instead. */
  async versionOf(
    path: string,
    headers: Readonly<Record<string, string>> = {},
    method = 'GET',
  ): Promise<string> {
    const answer = await this.client.http({ url: `http://reviews${path}`, headers, method });
    return answer.status === 200
      ? (answer.headers['x-version'] ?? '')
      : `${answer.status} ${answer.error ?? answer.body}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bed[Symbol.asyncDispose]();
  }
}
