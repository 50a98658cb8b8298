/** What a rule makes of the request that was asked about, as policies of other namespaces than the rule's judge it. */
import { judgedPath } from '@ambit/model';
import { judgedHeader, type RequestAttributes } from '@ambit/policy';
import {
  applyHeaderOperations,
  type MutableHeaders,
  pathToSend,
  type RouteDecision,
  type VariableLookup,
  type WeightedCluster,
} from '@ambit/routing';
import { type AskedRequest, type Caller, callerIdentity } from './caller.ts';

/** A rule, and the share of it that the request falls to. */
export interface RuleShare {
  readonly decision: Extract<RouteDecision, { kind: 'route' }>;
  readonly share: WeightedCluster;
}

/** Undefined: its path cannot be judged, so it is refused. */
export function rewrittenRequest(
  { decision, share }: RuleShare,
  { asked, caller }: { readonly asked: AskedRequest; readonly caller: Caller },
): RequestAttributes | undefined {
  const { action } = decision;
  const sent = action.path === undefined ? asked.path : pathToSend(asked.path, action.path).path;
  const path = sent === asked.path ? sent : judgedPath(sent);
  if (path === undefined) return undefined;
  const host = action.authority ?? share.authority ?? asked.authority;
  const fields = new Fields(asked.fields);
  const lookUp = variablesOf(asked, caller);
  for (const { headers } of [share, decision]) {
    applyHeaderOperations(headers.request, fields, lookUp);
  }
  return {
    host,
    method: asked.method,
    path,
    header: (name) => judgedHeader(name, { authority: host, upgrade: asked.upgrade }, fields),
    repeatedHeader: (name) => fields.repeated(name),
  };
}

class Fields implements MutableHeaders {
  readonly #values: Map<string, readonly string[]>;

  constructor(fields: ReadonlyMap<string, string>) {
    this.#values = new Map([...fields].map(([name, value]) => [name, [value]]));
  }

  get(name: string): string | undefined {
    return this.#values.get(name)?.join(name === 'cookie' ? '; ' : ',');
  }

  /** Pieces of cookies are one. */
  repeated(name: string): readonly string[] | undefined {
    const values = name === 'cookie' ? undefined : this.#values.get(name);
    return values === undefined || values.length < 2 ? undefined : values;
  }

  set(name: string, value: string): void {
    this.#values.set(name, [value]);
  }

  add(name: string, value: string): void {
    this.#values.set(name, [...(this.#values.get(name) ?? []), value]);
  }

  remove(name: string): void {
    this.#values.delete(name);
  }
}

/** Of what is known without a connection. */
function variablesOf(asked: AskedRequest, caller: Caller): VariableLookup {
  return (variable, argument = '') => {
    switch (variable) {
      case 'DOWNSTREAM_PEER_URI_SAN':
        return callerIdentity(caller);
      case 'DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT':
        return caller.ip;
      case 'REQ':
        return argument
          .toLowerCase()
          .split('?')
          .map((name) => askedFor(name, asked))
          .find((value) => value !== undefined);
      default:
        return undefined;
    }
  };
}

function askedFor(name: string, asked: AskedRequest): string | undefined {
  switch (name) {
    case ':method':
      return asked.method;
    case ':authority':
    case 'host':
      return asked.authority;
    case ':path':
      return asked.query === '' ? asked.path : `${asked.path}?${asked.query}`;
    default:
      return asked.fields.get(name);
  }
}
