/**
 * One question in, one answer out: from the mesh, or from upstream. Knows no sockets of clients.
 *
 * Bytes come from pods: whatever they are, there is an answer or silence, never an exception.
 */
import type { Clock } from '@ambit/core';
import type { Netns } from '@ambit/netns';
import type { Logger } from '@ambit/telemetry';
import type { Pod } from '../pods/pod.ts';
import {
  addressType,
  answerResponse,
  type DnsQuestion,
  errorResponse,
  parseQuery,
  RCODE,
  type Transport,
  typeLabel,
} from './dns-message.ts';
import type { DnsLabels, DnsMetrics } from './dns-metrics.ts';
import { type NameView, resolveName } from './resolve-name.ts';

/** Questions of one pod that may wait for upstream at a time; more are answered with a failure. */
export const UPSTREAM_IN_FLIGHT_MAX = 256;

export interface UpstreamNames {
  ask(ns: Netns, query: Uint8Array, transport: Transport, signal: AbortSignal): Promise<Uint8Array>;
}

export interface NameResponderOptions {
  readonly pod: Pod;
  readonly ns: Netns;
  readonly view: NameView;
  readonly clusterDomain: string;
  readonly isIpv6Enabled: boolean;
  readonly upstream: UpstreamNames;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: DnsMetrics;
  readonly canonicalNameOf: (pod: Pod) => { readonly name: string; readonly revision: string };
  /** In 0..1. */
  readonly random: () => number;
}

export class NameResponder {
  readonly #options: NameResponderOptions;
  readonly #stopped = new AbortController();
  #inFlight = 0;

  constructor(options: NameResponderOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#stopped.abort();
  }

  /** Undefined: say nothing. Never rejects. */
  async respond(query: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    const parsed = parseQuery(query);
    switch (parsed.kind) {
      case 'drop':
        return undefined;
      case 'refuse':
        return errorResponse(query, parsed.rcode);
      case 'question':
        return await this.#answer(query, parsed.question, transport);
    }
  }

  async #answer(
    query: Uint8Array,
    question: DnsQuestion,
    transport: Transport,
  ): Promise<Uint8Array> {
    const { metrics, log, pod } = this.#options;
    const labels = this.#labels(question, transport);
    metrics.requests.inc(labels);
    const local = this.#answerHere(query, question, transport);
    log.debug('name asked', {
      pod: pod.uid,
      name: question.name,
      type: labels.request_query_type,
      protocol: transport,
      isLocal: local !== undefined,
    });
    return local ?? (await this.#forward(query, transport, labels));
  }

  #answerHere(
    query: Uint8Array,
    question: DnsQuestion,
    transport: Transport,
  ): Uint8Array | undefined {
    const { view, pod, clusterDomain, isIpv6Enabled, random } = this.#options;
    const type = addressType(question);
    if (type === undefined || question.name === undefined) {
      return undefined;
    }
    const client = { namespace: pod.namespace, clusterDomain, isIpv6Enabled };
    const answer = resolveName(view, { name: question.name, type }, client);
    if (answer === undefined) {
      return undefined;
    }
    const addresses = shuffled(answer.addresses, random);
    return answerResponse({ query, type, answer: { ...answer, addresses }, transport });
  }

  async #forward(query: Uint8Array, transport: Transport, labels: DnsLabels): Promise<Uint8Array> {
    const { metrics, upstream, ns, clock, log, pod } = this.#options;
    if (this.#inFlight >= UPSTREAM_IN_FLIGHT_MAX) {
      metrics.refused.inc({ limit: 'upstream_in_flight' });
      return errorResponse(query, RCODE.serverFailure);
    }
    this.#inFlight++;
    metrics.upstreamRequests.inc(labels);
    const startedAt = clock.now();
    try {
      return await upstream.ask(ns, query, transport, this.#stopped.signal);
    } catch (error) {
      metrics.upstreamFailures.inc(labels);
      log.debug('name server failed', { pod: pod.uid, error });
      return errorResponse(query, RCODE.serverFailure);
    } finally {
      this.#inFlight--;
      metrics.upstreamSeconds.observe(labels, (clock.now() - startedAt) / 1000);
    }
  }

  #labels(question: DnsQuestion, transport: Transport): DnsLabels {
    const { name, revision } = this.#options.canonicalNameOf(this.#options.pod);
    return {
      request_query_type: typeLabel(question.type),
      request_protocol: transport,
      source_canonical_service: name,
      source_canonical_revision: revision,
    };
  }
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  const copy = [...items];
  for (let last = copy.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [copy[last], copy[other]] = [copy[other] as T, copy[last] as T];
  }
  return copy;
}
