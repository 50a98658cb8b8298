/** How the single values of a policy are read, with the path of the one that is wrong. */
import { normalPathPrefix, normalPathText, parseCidr } from '@ambit/api';
import { PolicyError } from './errors.ts';
import { parsePathPattern, parseStringPattern } from './pattern.ts';
import type { Cidr, PathPattern, ServiceAccountRef, StringPattern } from './types.ts';

const SPIFFE_SCHEME = 'spiffe://';
/** In policies this trust domain always means the mesh's own as well. */
const LOCAL_TRUST_DOMAIN = 'cluster.local';

/** What the parts of one policy are compiled in. */
export interface CompileContext {
  readonly namespace: string;
  readonly trustDomain: string;
  readonly noteUndecidable: (path: string) => void;
}

/** The scheme is cut; `cluster.local` also means the mesh's own trust domain. */
export function principalPatterns(
  value: string,
  context: CompileContext,
): readonly StringPattern[] {
  const bare = value.startsWith(SPIFFE_SCHEME) ? value.slice(SPIFFE_SCHEME.length) : value;
  const alias = `${LOCAL_TRUST_DOMAIN}/`;
  return bare.startsWith(alias) && context.trustDomain !== LOCAL_TRUST_DOMAIN
    ? [
        parseStringPattern(bare),
        parseStringPattern(`${context.trustDomain}/${bare.slice(alias.length)}`),
      ]
    : [parseStringPattern(bare)];
}

/** `ns/sa`, or `sa` in the policy's namespace. */
export function serviceAccountRef(value: string, context: CompileContext): ServiceAccountRef {
  const slash = value.indexOf('/');
  return slash === -1
    ? { namespace: context.namespace, name: value }
    : { namespace: value.slice(0, slash), name: value.slice(slash + 1) };
}

export function requireCidr(value: string, path: string): Cidr {
  const cidr = parseCidr(value);
  if (cidr === undefined) {
    throw new PolicyError(path, `"${value.slice(0, 80)}" is not an IP address or CIDR block`);
  }
  return cidr;
}

export function requirePort(value: string, path: string): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (port < 1 || port > 65535) {
    throw new PolicyError(path, `"${value.slice(0, 80)}" is not a port from 1 to 65535`);
  }
  return port;
}

/** All that `value` means, as requests are judged. */
export function requirePath(value: string, path: string): readonly PathPattern[] {
  const pattern = parsePathPattern(normalPathText(value));
  if (pattern === undefined) {
    throw new PolicyError(path, `"${value.slice(0, 80)}" is not a path template`);
  }
  if (pattern.kind === 'prefix') {
    return [{ kind: 'prefix', value: normalPathPrefix(pattern.value) }];
  }
  return pattern.kind === 'suffix' ? suffixes(pattern.value) : [pattern];
}

/** A suffix may begin within an escape: `*c3%a9` is the end of `/%C3%A9` as well as of `/abc3%A9`. */
function suffixes(value: string): readonly PathPattern[] {
  const plain = { kind: 'suffix', value } as const;
  const octet = /^[0-9a-f]{2}/i.exec(value)?.[0];
  return octet === undefined || octet === octet.toUpperCase()
    ? [plain]
    : [plain, { kind: 'suffix', value: `%${octet.toUpperCase()}${value.slice(2)}` }];
}

/** Hosts are compared without case and with the port as sent: an ALLOW of `x` takes no `x:80`. */
export function hostPattern(value: string): StringPattern {
  return parseStringPattern(value.toLowerCase());
}
