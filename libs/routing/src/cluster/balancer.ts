/**
 * Load balancers: which endpoint the next request goes to.
 *
 * A balancer holds only its own turn; endpoints, in-flight counts and ejections are the caller's and
 * given at each pick. Ejected endpoints are left out, unless so few remain that ejection is ignored.
 */
import type { LoadBalancerSettings } from '@ambit/api';
import { pickWeighted } from '../http/traffic.ts';

export interface Balanced {
  readonly key: string;
  readonly weight: number;
}

export interface PickContext<E extends Balanced> {
  readonly random: () => number;
  /** Requests in flight at the endpoint. */
  readonly active: (endpoint: E) => number;
}

export interface Balancer {
  /** Endpoints must not be empty. */
  pick<E extends Balanced>(endpoints: readonly E[], context: PickContext<E>): E;
}

/** Consistent hashing is not decided here; it balances as LEAST_REQUEST does. */
export function createBalancer(settings: LoadBalancerSettings): Balancer {
  switch (settings.simple ?? 'LEAST_REQUEST') {
    case 'ROUND_ROBIN':
      return new RoundRobin();
    case 'RANDOM':
      return { pick: (endpoints, { random }) => drawUniform(endpoints, random) };
    case 'PASSTHROUGH':
    case 'LEAST_REQUEST':
      return { pick: pickLeastRequest };
  }
}

export interface EndpointPick<E extends Balanced> {
  readonly endpoints: readonly E[];
  readonly balancer: Balancer;
  readonly context: PickContext<E>;
  readonly isEjected: (endpoint: E) => boolean;
  /** Below this share of usable endpoints ejection is ignored (0: never). */
  readonly minHealthPercent: number;
  /** Keys that this request has tried: drawn again only where no other is usable. */
  readonly previous?: ReadonlySet<string>;
}

/** `undefined`: no healthy upstream (503, flag UH). */
export function pickEndpoint<E extends Balanced>(query: EndpointPick<E>): E | undefined {
  const { endpoints, balancer, context, previous } = query;
  const usable = withoutEjected(query);
  if (usable.length === 0 || endpoints.length === 0) return undefined;
  const picked = balancer.pick(usable, context);
  if (previous === undefined || !previous.has(picked.key)) return picked;
  const untried = usable.filter(({ key }) => !previous.has(key));
  return untried.length === 0 ? picked : balancer.pick(untried, context);
}

function withoutEjected<E extends Balanced>(query: EndpointPick<E>): readonly E[] {
  const { endpoints, isEjected, minHealthPercent } = query;
  const healthy = endpoints.filter((endpoint) => !isEjected(endpoint));
  const isPanic = healthy.length * 100 < endpoints.length * minHealthPercent;
  return isPanic ? endpoints : healthy;
}

/** Two draws, the one with fewer requests in flight. With unequal weights: weight over in-flight + 1. */
function pickLeastRequest<E extends Balanced>(
  endpoints: readonly E[],
  { random, active }: PickContext<E>,
): E {
  if (hasEqualWeights(endpoints)) {
    const first = drawUniform(endpoints, random);
    const second = drawUniform(endpoints, random);
    return active(second) < active(first) ? second : first;
  }
  const shares = endpoints.map((endpoint) => ({
    endpoint,
    weight: endpoint.weight / (active(endpoint) + 1),
  }));
  return pickWeighted(shares, random).endpoint;
}

/** Smooth weighted round robin: in each step everyone gains its weight, the richest is chosen and pays all. */
class RoundRobin implements Balancer {
  #turn = 0;
  #credits = new Map<string, number>();

  pick<E extends Balanced>(endpoints: readonly E[]): E {
    if (hasEqualWeights(endpoints)) {
      const picked = endpoints[this.#turn % endpoints.length];
      this.#turn = (this.#turn + 1) % Number.MAX_SAFE_INTEGER;
      return assertEndpoint(picked);
    }
    let total = 0;
    let best: { readonly endpoint: E; readonly credit: number } | undefined;
    const credits = new Map<string, number>();
    for (const endpoint of endpoints) {
      const credit = (this.#credits.get(endpoint.key) ?? 0) + endpoint.weight;
      credits.set(endpoint.key, credit);
      total += endpoint.weight;
      if (best === undefined || credit > best.credit) best = { endpoint, credit };
    }
    const { endpoint, credit } = assertEndpoint(best);
    credits.set(endpoint.key, credit - total);
    // Replaced whole, so that endpoints that went away leave nothing behind.
    this.#credits = credits;
    return endpoint;
  }
}

function hasEqualWeights(endpoints: readonly Balanced[]): boolean {
  const first = endpoints[0]?.weight;
  return endpoints.every(({ weight }) => weight === first);
}

function drawUniform<E>(endpoints: readonly E[], random: () => number): E {
  return assertEndpoint(endpoints[Math.floor(random() * endpoints.length)]);
}

function assertEndpoint<E>(endpoint: E | undefined): E {
  if (endpoint === undefined) throw new RangeError('balancer: no endpoints');
  return endpoint;
}
