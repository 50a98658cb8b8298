/**
 * What the lab's name server answers: cluster names only, and NXDOMAIN for the rest. Pure.
 *
 * A name that exists without an address of the asked type gets an empty answer, never NXDOMAIN: resolvers would
 * take that for the other type as well.
 */
import type { Answer, Packet, Question } from 'dns-packet';

/** Lower-case names without the last dot → addresses. */
export interface DnsZone {
  readonly addresses: ReadonlyMap<string, readonly string[]>;
  readonly aliases: ReadonlyMap<string, string>;
}

/** Short, as pods come and go; Kubernetes uses 5 to 30. */
const TTL_SECONDS = 5;
const AUTHORITATIVE_ANSWER = 0x04_00;
const RECURSION_DESIRED = 0x01_00;
const RECURSION_AVAILABLE = 0x00_80;
const NXDOMAIN = 3;
const ALIASES_MAX = 8;

/** The response to a query. A query without exactly one question gets FORMERR. */
export function answerQuery(zone: DnsZone, query: Packet): Packet {
  const question = query.questions?.[0];
  const flags =
    AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE | ((query.flags ?? 0) & RECURSION_DESIRED);
  const base = { type: 'response', id: query.id ?? 0 } as const;
  if (question === undefined || query.questions?.length !== 1) {
    return { ...base, flags: flags | 1, questions: query.questions ?? [], answers: [] };
  }
  const answers = resolve(zone, question);
  return {
    ...base,
    flags: flags | (answers === undefined ? NXDOMAIN : 0),
    questions: [question],
    answers: answers ?? [],
  };
}

function resolve(zone: DnsZone, question: Question): Answer[] | undefined {
  const answers: Answer[] = [];
  let name = question.name.toLowerCase();
  for (let hop = 0; hop < ALIASES_MAX; hop += 1) {
    const alias = zone.aliases.get(name);
    if (alias === undefined) {
      break;
    }
    answers.push({ type: 'CNAME', name, data: alias, ttl: TTL_SECONDS });
    name = alias.toLowerCase();
  }
  const addresses = zone.addresses.get(name) ?? podAddresses(name);
  if (addresses === undefined) {
    return answers.length > 0 || hasDescendant(zone, name) ? answers : undefined;
  }
  const type = question.type;
  if (type !== 'A' && type !== 'AAAA') {
    return answers;
  }
  const isWanted = (address: string): boolean => address.includes(':') === (type === 'AAAA');
  const owner = answers.length === 0 ? question.name : name;
  for (const data of addresses.filter(isWanted)) {
    answers.push({ type, name: owner, data, ttl: TTL_SECONDS });
  }
  return answers;
}

/** `10-241-1-5.shop.pod.cluster.local`, as Kubernetes names pods by their address. */
function podAddresses(name: string): readonly string[] | undefined {
  const label = /^(\d{1,3}(?:-\d{1,3}){3})\.[^.]+\.pod\./.exec(name)?.[1];
  const octets = label?.split('-').map(Number);
  return octets?.every((octet) => octet <= 255) ? [octets.join('.')] : undefined;
}

/** `svc.cluster.local` exists because names below it do (RFC 8020). */
function hasDescendant(zone: DnsZone, name: string): boolean {
  const suffix = `.${name}`;
  for (const key of zone.addresses.keys()) {
    if (key.endsWith(suffix)) {
      return true;
    }
  }
  return false;
}
